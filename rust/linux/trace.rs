// SPDX-License-Identifier: GPL-2.0

//! Trace events: a static branch each, and a call when it is on.
//!
//! C header: `include/linux/tracepoint.h`. The `kernel` crate's `declare_trace!` looks for events in
//! its own bindings only.

/// Makes a module of each event: whether somebody listens, and the call.
macro_rules! events {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?);)*) => { kernel::macros::paste! { $(
        $(#[$doc])*
        pub mod $name {
            use crate::linux::bindings;

            /// Whether the event is on: a jump that is patched in the code.
            #[inline(always)]
            pub fn enabled() -> bool {
                #[cfg(CONFIG_JUMP_LABEL)]
                // SAFETY: The symbol is the event's tracepoint, made by `TRACE_EVENT` in C.
                unsafe {
                    kernel::jump_label::arch_static_branch!(
                        bindings::[<__tracepoint_rext4_ $name>],
                        bindings::tracepoint,
                        key,
                        false
                    )
                }
                #[cfg(not(CONFIG_JUMP_LABEL))]
                // SAFETY: As above; the key is read only.
                unsafe {
                    let tracepoint = core::ptr::addr_of!(bindings::[<__tracepoint_rext4_ $name>]);
                    kernel::bindings::static_key_count(core::ptr::addr_of!((*tracepoint).key).cast_mut().cast()) > 0
                }
            }

            // The C prototype and the table agree.
            const _: unsafe extern "C" fn($($type),*) = bindings::[<rust_do_trace_rext4_ $name>];

            /// Records the event.
            #[cold]
            #[allow(clippy::too_many_arguments, reason = "one for each field of the event")]
            pub fn emit($($arg: $type),*) {
                // SAFETY: Plain numbers; the event has no preconditions.
                unsafe { bindings::[<rust_do_trace_rext4_ $name>]($($arg),*) }
            }
        }
    )* } };
}
crate::trace_table::for_each_event!(events);

// SPDX-License-Identifier: GPL-2.0

//! Trace events: the host has no ring buffer, so each is nothing.

/// Makes an empty function of each event.
macro_rules! silent {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?);)*) => {
        $($(#[$doc])*
        #[expect(clippy::too_many_arguments, reason = "an event has as many values as it has")]
        pub fn $name($(_: $type),*) {})*
    };
}
crate::trace_table::for_each_event!(silent);

// SPDX-License-Identifier: GPL-2.0

//! The trace events of a module that has none: those that `rust/linux` itself calls, as nothing.

/// Stands in for the table of events in `rust/trace`: `linux::trace` consists of what it gives.
macro_rules! for_each_event {
    ($each:ident) => {
        /// A request is about to be sent.
        pub mod bio_submit {
            /// Nobody listens.
            pub fn enabled() -> bool {
                false
            }

            /// Nothing is recorded.
            pub fn emit(_dev: u32, _sector: u64, _bytes: u32, _op: u32) {}
        }

        /// A request has ended.
        pub mod bio_end {
            /// Nobody listens.
            pub fn enabled() -> bool {
                false
            }

            /// Nothing is recorded.
            pub fn emit(_dev: u32, _sector: u64, _bytes: u32, _error: i32) {}
        }
    };
}
pub(crate) use for_each_event;

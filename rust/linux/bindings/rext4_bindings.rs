// SPDX-License-Identifier: GPL-2.0

//! The C interfaces of the kernel that the `kernel` crate does not offer, as bindgen sees them.
//!
//! A crate of its own, so that it is compiled once and not with every change of the module. Private to `linux`, which
//! sees it as `linux::bindings`. Kbuild makes the generated files from `bindings_helper.h`, `parameters` and `rust/helpers`.
//! These types are other types than those of `kernel::bindings`, with the same layout: cast pointers between the two.

#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    rustdoc::all,
    unreachable_pub,
    unused_imports,
    unsafe_op_in_unsafe_fn
)]
#![cfg_attr(CONFIG_RUSTC_HAS_UNNECESSARY_TRANSMUTES, allow(unnecessary_transmutes))]

mod raw {
    use kernel::ffi;
    use pin_init::{MaybeZeroable, Zeroable};

    type __kernel_size_t = usize;
    type __kernel_ssize_t = isize;
    type __kernel_ptrdiff_t = isize;

    // SAFETY: `__BindgenBitfieldUnit<Storage>` is a newtype around `Storage`.
    unsafe impl<Storage> Zeroable for __BindgenBitfieldUnit<Storage> where Storage: Zeroable {}

    pub use super::helper::*;
    include!("generated.rs");
}

/// Inline functions and macros of C, by their C names (`rust/helpers`).
mod helper {
    use super::raw::*;
    use kernel::ffi;
    include!("generated_helpers.rs");
}

pub use raw::*;

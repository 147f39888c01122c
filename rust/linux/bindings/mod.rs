// SPDX-License-Identifier: GPL-2.0

//! The kernel's C interfaces as bindgen sees them; the crate is compiled separately (`rext4_bindings.rs`).

pub(crate) use ::rext4_bindings::*;

// SPDX-License-Identifier: GPL-2.0

//! Mount options: which there are, and what was given.
//!
//! C header: `include/linux/fs_parser.h`.

use crate::linux::bindings;
use core::ptr;
use kernel::prelude::*;
use kernel::str::as_char_ptr_in_const_context;

/// One option in a [`ParamTable`]. `id` is what [`Param::id`] tells when it is given.
#[repr(transparent)]
pub struct ParamSpec(bindings::fs_parameter_spec);

// SAFETY: Constant data.
unsafe impl Sync for ParamSpec {}

impl ParamSpec {
    /// What every table must end with.
    pub const END: Self = Self::make(ptr::null(), None, 0, 0, 0);

    const fn make(
        name: *const kernel::ffi::c_char,
        kind: bindings::fs_param_type,
        id: u8,
        flags: u32,
        data: usize,
    ) -> Self {
        Self(bindings::fs_parameter_spec {
            name,
            type_: kind,
            opt: id,
            flags: flags as u16,
            data: ptr::without_provenance(data),
        })
    }

    const fn named(name: &'static CStr, kind: bindings::fs_param_type, id: u8) -> Self {
        Self::make(as_char_ptr_in_const_context(name), kind, id, 0, 0)
    }

    /// `name`, without a value.
    pub const fn flag(name: &'static CStr, id: u8) -> Self {
        Self::named(name, None, id)
    }

    /// `name` or `noname` ([`Param::is_negated`]), without a value.
    pub const fn flag_no(name: &'static CStr, id: u8) -> Self {
        Self::make(
            as_char_ptr_in_const_context(name),
            None,
            id,
            bindings::fs_param_neg_with_no,
            0,
        )
    }

    /// `name=` a number ([`Param::number`]).
    pub const fn u32(name: &'static CStr, id: u8) -> Self {
        Self::named(name, Some(bindings::fs_param_is_u32), id)
    }

    /// `name=` a string ([`Param::text`]).
    pub const fn string(name: &'static CStr, id: u8) -> Self {
        Self::named(name, Some(bindings::fs_param_is_string), id)
    }

    /// `name=` a user ([`Param::number`], as on the disk).
    pub const fn uid(name: &'static CStr, id: u8) -> Self {
        Self::named(name, Some(bindings::fs_param_is_uid), id)
    }

    /// `name=` a group ([`Param::number`], as on the disk).
    pub const fn gid(name: &'static CStr, id: u8) -> Self {
        Self::named(name, Some(bindings::fs_param_is_gid), id)
    }
}

/// The options of a file system.
///
/// # Invariants
///
/// The last entry is [`ParamSpec::END`].
pub struct ParamTable(&'static [ParamSpec]);

impl ParamTable {
    /// A table of these options; the last must be [`ParamSpec::END`], or it does not compile.
    pub const fn new(specs: &'static [ParamSpec]) -> Self {
        let Some((last, _)) = specs.split_last() else {
            panic!("an empty table")
        };
        assert!(last.0.name.is_null(), "the last entry must be END");
        Self(specs)
    }

    pub(super) const fn as_ptr(&self) -> *const bindings::fs_parameter_spec {
        self.0.as_ptr().cast()
    }
}

/// An option as it was given.
pub struct Param<'a> {
    id: u8,
    raw: &'a bindings::fs_parameter,
    result: bindings::fs_parse_result,
}

impl<'a> Param<'a> {
    /// Looks `raw` up in `table`; `ENOPARAM`, with which the VFS goes on, when it is not there.
    ///
    /// # Safety
    ///
    /// Both pointers must come from one call of `parse_param` and be valid for `'a`.
    pub(super) unsafe fn parse(
        table: &ParamTable,
        context: *mut bindings::fs_context,
        raw: *mut bindings::fs_parameter,
    ) -> Result<Self> {
        let mut result: bindings::fs_parse_result = pin_init::zeroed();
        // SAFETY: The table ends as it must; the caller vouches for the rest.
        let id = unsafe {
            let log = ptr::addr_of_mut!((*context).log);
            bindings::__fs_parse(log, table.as_ptr(), raw, &mut result)
        };
        if id < 0 {
            return Err(Error::from_errno(id));
        }
        Ok(Self {
            id: id as u8,
            // SAFETY: The caller says so.
            raw: unsafe { &*raw },
            result,
        })
    }

    /// The `id` of its [`ParamSpec`].
    pub fn id(&self) -> u8 {
        self.id
    }

    /// The name that was given.
    pub fn name(&self) -> &str {
        // SAFETY: The key is a terminated string that lives as long as the parameter.
        let key = unsafe { CStr::from_char_ptr(self.raw.key) };
        key.to_str().unwrap_or("?")
    }

    /// Whether it had `no` before it.
    pub fn is_negated(&self) -> bool {
        self.result.negated
    }

    /// The number that was given; 0 when the option takes none.
    pub fn number(&self) -> u32 {
        // SAFETY: All bytes of the union were initialised, and every variant that starts it is valid
        // as a number.
        unsafe { self.result.__bindgen_anon_1.uint_32 }
    }

    /// The string that was given; empty when there was none.
    pub fn text(&self) -> &[u8] {
        if self.raw.type_() != bindings::fs_value_type_fs_value_is_string {
            return &[];
        }
        // SAFETY: The type says that it is a terminated string.
        unsafe { CStr::from_char_ptr(self.raw.__bindgen_anon_1.string.cast_const().cast()) }
            .to_bytes()
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Scopes in which allocation must not come back into the file system: nothing to do on the host.

/// While it lives, allocations do not recurse into the file system (`memalloc_nofs_save`).
#[derive(Debug)]
pub struct NofsScope(());

impl NofsScope {
    /// Begins a scope; scopes nest.
    pub fn enter() -> Self {
        Self(())
    }
}

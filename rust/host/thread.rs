// SPDX-License-Identifier: GPL-2.0

//! Threads of the file system's own.

use super::alloc::AllocError;
use super::device::Device;

/// A running thread; join it before what it uses goes away.
#[derive(Debug)]
pub struct Thread(std::thread::JoinHandle<()>);

impl Thread {
    /// Starts `run` on a new thread called `name`, a slash and the device.
    pub fn spawn(
        name: &str,
        device: &Device,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<Self, AllocError> {
        let thread = std::thread::Builder::new()
            .name(format!("{name}/{device}"))
            .spawn(run);
        thread.map(Self).map_err(|_| AllocError)
    }

    /// Waits until the thread has returned.
    pub fn join(self) {
        // A panic of the thread is a failed test of its own; the join only waits.
        let _ = self.0.join();
    }
}

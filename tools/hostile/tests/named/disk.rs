// SPDX-License-Identifier: GPL-2.0

//! A disk with one known damage, made by hand.

use host_core::core::error::{Error, Result};
use host_core::core::mount::{ErrorPolicy, MountOptions};
use host_core::format::fault::Fault;
use host_core::host::ledger::Ledger;
use host_core::hostfs::HostFs;
use hostile::overlay::Overlay;
use hostile::places::{Kind, Place};
use hostile::seeds::{self, Seed};
use hostile::visit::{self, Cost};
use hostile::{edits, seal};
use std::sync::Arc;

/// The seed with small blocks and checksums, with extents of three levels and an orphan file.
pub const SMALL: usize = 0;
/// The seed with all reserved inodes in one block.
pub const WIDE: usize = 1;
/// The seed without checksums.
pub const OLD: usize = 2;
/// The seed with a log to replay.
pub const DIRTY: usize = 3;
/// The seed with a log to replay and a chain of orphans.
pub const CHAIN: usize = 4;

/// A seed and what was done to it. When it goes, what its mounts cost must have been bounded, and nothing
/// of them may be left; an error that they have recorded on it has its place.
pub struct Disk {
    pub seed: &'static Seed,
    pub device: Overlay,
    touched: Vec<Place>,
    ledger: Arc<Ledger>,
}

impl Disk {
    /// An undamaged seed.
    pub fn new(number: usize) -> Self {
        let seed = seeds::seed(number);
        Self {
            seed,
            device: Overlay::new(seed.image.clone()),
            touched: Vec::new(),
            ledger: Ledger::begin(),
        }
    }

    /// The structure of this kind and number.
    pub fn place(&self, kind: Kind, n: usize) -> Place {
        self.seed.places.of(kind)[n]
    }

    /// The number of what is at a path.
    pub fn ino(&self, path: &str) -> u32 {
        let device = Overlay::new(self.seed.image.clone());
        let mut fs = HostFs::mount(device, &MountOptions::default()).unwrap();
        let ino = fs.resolve(path).unwrap().ino().get();
        fs.unmount().unwrap();
        ino
    }

    /// The record of what is at a path.
    pub fn inode(&self, path: &str) -> Place {
        *self.seed.places.inode(self.ino(path)).unwrap()
    }

    /// The structures of a kind that belong to what is at a path.
    pub fn of(&self, kind: Kind, path: &str) -> Vec<Place> {
        let ino = self.ino(path);
        let all = self.seed.places.of(kind).iter();
        all.filter(|place| place.owner == ino).copied().collect()
    }

    /// Fixed metadata, and some of the log: blocks that no inode may have.
    pub fn metadata(&self) -> Vec<u32> {
        let places = &self.seed.places;
        let log = places.log.iter().step_by(97);
        places
            .fixed
            .iter()
            .chain(log)
            .map(|b| b.get() as u32)
            .collect()
    }

    /// The number of a structure's block.
    pub fn block(&self, place: &Place) -> u32 {
        (place.at / u64::from(self.seed.places.block_size)) as u32
    }

    pub fn bytes(&self, place: &Place) -> Vec<u8> {
        self.device.bytes(place.at, place.len)
    }

    pub fn word(&self, place: &Place, at: usize) -> u32 {
        u32::from_le_bytes(
            self.device
                .bytes(place.at + at as u64, 4)
                .try_into()
                .unwrap(),
        )
    }

    /// Writes bytes into a structure.
    pub fn put(&mut self, place: &Place, at: usize, bytes: &[u8]) -> &mut Self {
        self.device.put(place.at + at as u64, bytes);
        self.touched.push(*place);
        self
    }

    /// Makes the checksums right.
    pub fn seal(&mut self) -> &mut Self {
        seal::seal(&self.device, &self.seed.places, &self.touched);
        self
    }

    /// Mounts it; errors are noted and the mount goes on.
    pub fn mount(&mut self) -> Result<HostFs> {
        self.seal();
        let options = MountOptions {
            errors: Some(ErrorPolicy::Continue),
            ..MountOptions::default()
        };
        HostFs::mount(self.device.clone(), &options)
    }

    /// The error that makes the mount fail.
    pub fn mount_error(&mut self) -> Error {
        match self.mount() {
            Ok(_) => panic!("it could be mounted"),
            Err(error) => {
                assert_eq!(self.ledger.held(), 0, "bytes of what is no mount are left");
                error
            }
        }
    }

    /// The fault that makes the mount fail.
    pub fn mount_fault(&mut self) -> Fault {
        fault_of(self.mount_error())
    }

    /// Whatever else happens on it is bounded: the tour ends, with no more requests and memory than it may
    /// cost.
    pub fn survives(&mut self) {
        self.seal();
        let cost = visit::tour(&self.device, edits::Mode(0));
        cost.assert_bounded(&self.seed.places);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let cost = Cost {
            reads: self.device.reads(),
            writes: self.device.writes(),
            memory: self.ledger.peak(),
            ..Cost::default()
        };
        cost.assert_bounded(&self.seed.places);
        assert_eq!(self.ledger.held(), 0, "bytes of a mount are left");
        // The seeds have none, and nobody makes one up.
        if let Some(record) = visit::recorded(&self.device).filter(|record| record.count > 0) {
            visit::assert_placed(&record);
        }
    }
}

/// The fault in an error, which must be about damage.
pub fn fault_of(error: Error) -> Fault {
    match error {
        Error::Corrupt(_, fault) => fault,
        other => panic!("{other:?} is no damage"),
    }
}

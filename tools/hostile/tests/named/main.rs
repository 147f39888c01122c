// SPDX-License-Identifier: GPL-2.0

//! Each kind of lie that a disk can tell, by name, with the error it gives.

mod bounds;
mod disk;
mod fixed;
mod maps;
mod names;
mod orphans;
mod volumes;

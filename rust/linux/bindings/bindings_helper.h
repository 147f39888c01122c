/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The C headers that rust/linux needs. bindgen turns them into rust/linux/bindings/generated.rs.
 * Sorted alphabetically.
 */

/* First, so that no enum is used before it is known (rust-bindgen issue 3179). */
#include <linux/hrtimer_types.h>

#include <linux/backing-dev.h>
#include <linux/bio.h>
#include <linux/blk-cgroup.h>
#include <linux/blkdev.h>
#include <linux/crc16.h>
#include <linux/crc32.h>
#include <linux/cred.h>
#include <linux/exportfs.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fileattr.h>
#include <linux/filelock.h>
#include <linux/folio_batch.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/fserror.h>
#include <linux/highmem.h>
#include <linux/iomap.h>
#include <linux/iversion.h>
#include <linux/kthread.h>
#include <linux/list_sort.h>
#include <linux/llist.h>
#include <linux/lockdep.h>
#include <linux/magic.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/percpu_counter.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/random.h>
#include <linux/rwsem.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include <linux/swap.h>
#include <linux/timekeeping.h>
#include <linux/tracepoint.h>
#include <linux/uio.h>
#include <linux/user_namespace.h>
#include <linux/workqueue.h>
#include <linux/writeback.h>
#include <linux/xarray.h>
#include <linux/xattr.h>

#include "../../trace/rext4.h"

/* Macros with a cast: bindgen cannot evaluate them, so they are named again here. */
const gfp_t RUST_CONST_HELPER_GFP_KERNEL = GFP_KERNEL;
const gfp_t RUST_CONST_HELPER_GFP_NOFS = GFP_NOFS;
const gfp_t RUST_CONST_HELPER_GFP_NOWAIT = GFP_NOWAIT;
const gfp_t RUST_CONST_HELPER___GFP_FS = __GFP_FS;
const blk_opf_t RUST_CONST_HELPER_REQ_SYNC = REQ_SYNC;
const blk_opf_t RUST_CONST_HELPER_REQ_META = REQ_META;
const blk_opf_t RUST_CONST_HELPER_REQ_PRIO = REQ_PRIO;
const blk_opf_t RUST_CONST_HELPER_REQ_FUA = REQ_FUA;
const blk_opf_t RUST_CONST_HELPER_REQ_PREFLUSH = REQ_PREFLUSH;
const blk_opf_t RUST_CONST_HELPER_REQ_IDLE = REQ_IDLE;
const fop_flags_t RUST_CONST_HELPER_FOP_BUFFER_RASYNC = FOP_BUFFER_RASYNC;
const fop_flags_t RUST_CONST_HELPER_FOP_DONTCACHE = FOP_DONTCACHE;
const fop_flags_t RUST_CONST_HELPER_FOP_DIO_PARALLEL_WRITE = FOP_DIO_PARALLEL_WRITE;
const int RUST_CONST_HELPER_IOCB_APPEND = (__force int)IOCB_APPEND;
const int RUST_CONST_HELPER_IOCB_HIPRI = (__force int)IOCB_HIPRI;
const int RUST_CONST_HELPER_IOCB_NOWAIT = (__force int)IOCB_NOWAIT;
const fmode_t RUST_CONST_HELPER_FMODE_32BITHASH = FMODE_32BITHASH;
const fmode_t RUST_CONST_HELPER_FMODE_64BITHASH = FMODE_64BITHASH;
const fmode_t RUST_CONST_HELPER_FMODE_WRITE = FMODE_WRITE;
const fmode_t RUST_CONST_HELPER_FMODE_CAN_ODIRECT = FMODE_CAN_ODIRECT;
const fmode_t RUST_CONST_HELPER_FMODE_NOWAIT = FMODE_NOWAIT;
const blk_mode_t RUST_CONST_HELPER_BLK_OPEN_READ = BLK_OPEN_READ;
const blk_mode_t RUST_CONST_HELPER_BLK_OPEN_WRITE = BLK_OPEN_WRITE;
const unsigned long RUST_CONST_HELPER_SB_RDONLY = SB_RDONLY;
const unsigned long RUST_CONST_HELPER_SB_SYNCHRONOUS = SB_SYNCHRONOUS;
const unsigned long RUST_CONST_HELPER_SB_DIRSYNC = SB_DIRSYNC;
const unsigned long RUST_CONST_HELPER_SB_NOATIME = SB_NOATIME;
const unsigned long RUST_CONST_HELPER_SB_POSIXACL = SB_POSIXACL;
const unsigned long RUST_CONST_HELPER_SB_LAZYTIME = SB_LAZYTIME;
const unsigned long RUST_CONST_HELPER_SB_I_VERSION = SB_I_VERSION;
const xa_mark_t RUST_CONST_HELPER_XA_PRESENT = XA_PRESENT;

/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * User API of the software secondary MMU in lib/test_mmu_notifier.c, which is
 * for testing only: nothing here is stable.
 *
 * An open file of /dev/test_mmu_notifier is one secondary MMU ("device"). It
 * first mirrors a range of the caller's address space (TMN_MIRROR) or attaches
 * to the range that another device mirrors (TMN_ATTACH), once and for as long
 * as it is open.
 */
#ifndef _LIB_TEST_MMU_NOTIFIER_UAPI_H
#define _LIB_TEST_MMU_NOTIFIER_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * enum tmn_manner - how the device treats the pages it maps
 * @TMN_KVM: shadow ptes, filled under a retry counter, registered with
 *	mmu_notifier_register(); a page reference is held with TMN_HOLD_PAGES
 * @TMN_GRU: a small TLB without page references, filled on demand and shared
 *	by all devices of the process through mmu_notifier_get()
 * @TMN_XPMEM: a segment that other processes attach and map, through an
 *	interval notifier whose invalidation sleeps until another node answers
 */
enum tmn_manner {
	TMN_KVM,
	TMN_GRU,
	TMN_XPMEM,
	TMN_MANNERS,
};

/* tmn_mirror.flags */
#define TMN_HOLD_PAGES	0x01u	/* TMN_KVM: hold mapped pages */

struct tmn_mirror {
	__u64 addr;
	__u64 size;
	__u32 manner;
	__u32 flags;
};

/* Attach to the segment of the device open at @fd, which is of TMN_XPMEM */
struct tmn_attach {
	__s32 fd;
	__u32 reserved;
};

/*
 * Copy @len bytes at @addr of the mirrored range to or from @buf through the
 * device's own ptes. A missing pte is a device fault: @faults counts them.
 */
struct tmn_access {
	__u64 addr;
	__u64 buf;
	__u64 len;
	__u64 faults;
};

enum tmn_callback {
	TMN_RELEASE,
	TMN_RANGE_START,
	TMN_RANGE_END,
	TMN_INVALIDATE,
	TMN_CLEAR_FLUSH_YOUNG,
	TMN_CLEAR_YOUNG,
	TMN_TEST_YOUNG,
	TMN_SECONDARY_TLBS,
	TMN_CALLBACKS,
};

/*
 * tmn_record.locks: what the calling task holds, as far as lockdep knows; 0
 * without lockdep. The mmap_lock is that of the mirrored mm.
 */
#define TMN_LOCK_MMAP_READ	0x01u
#define TMN_LOCK_MMAP_WRITE	0x02u
#define TMN_LOCK_VMA		0x04u
#define TMN_LOCK_I_MMAP_READ	0x08u
#define TMN_LOCK_I_MMAP_WRITE	0x10u
#define TMN_LOCK_ANON_VMA_READ	0x20u
#define TMN_LOCK_ANON_VMA_WRITE	0x40u
#define TMN_LOCK_PTE		0x80u

/* tmn_record.flags */
#define TMN_BLOCKABLE		0x01u
#define TMN_REFUSED		0x02u	/* the device returned -EAGAIN */

/**
 * struct tmn_record - one callback that overlapped the mirrored range
 * @start: first byte of the callback's range
 * @end: first byte behind it
 * @callback: &enum tmn_callback
 * @event: the kernel's enum mmu_notifier_event, 0 where there is none
 * @flags: TMN_BLOCKABLE, TMN_REFUSED
 * @locks: TMN_LOCK_*
 *
 * TMN_BLOCKABLE is set for the callbacks of a section alone: TMN_RANGE_START,
 * TMN_RANGE_END and TMN_INVALIDATE. An attached device has the log of the
 * segment.
 */
struct tmn_record {
	__u64 start;
	__u64 end;
	__u16 callback;
	__u16 event;
	__u32 flags;
	__u32 locks;
	__u32 reserved;
};

/*
 * Take the oldest records out of the log: @nr is the room at @records before
 * and the number taken after the call, @lost what did not fit in the log.
 */
struct tmn_log {
	__u64 records;
	__u32 nr;
	__u32 lost;
};

/* tmn_check.reason: why a device pte is stale */
enum tmn_stale {
	TMN_STALE_NONE,
	TMN_STALE_UNMAPPED,	/* the owner maps nothing there */
	TMN_STALE_OTHER_PAGE,	/* the owner maps another page */
	TMN_STALE_WRITABLE,	/* the owner may no longer write */
};

/* Compare every device pte with the owner's page table */
struct tmn_check {
	__u32 ptes;		/* present device ptes */
	__u32 writable;		/* of these, writable ones */
	__u32 stale;		/* of these, stale ones */
	__u32 reason;		/* enum tmn_stale of the first stale one */
	__u64 addr;		/* where the first stale one is */
};

enum tmn_behaviour {
	TMN_OBEY,		/* cancel what was set, wake what is blocked */
	TMN_DELAY,		/* sleep @msecs in every blockable callback */
	TMN_REFUSE,		/* refuse the next non-blocking start, once */
	TMN_BLOCK,		/* block the next blockable start until TMN_OBEY */
	TMN_FORGET,		/* keep the ptes at the next start: a broken driver */
};

/*
 * It belongs to the notifier: all TMN_GRU devices of a process share it. Not for
 * attached devices. @msecs is for TMN_DELAY, at most 10000, and else zero.
 */
struct tmn_behave {
	__u32 behaviour;
	__u32 msecs;
};

#define TMN_MIRROR	_IOW('N', 0x00, struct tmn_mirror)
#define TMN_ATTACH	_IOW('N', 0x01, struct tmn_attach)
#define TMN_READ	_IOWR('N', 0x02, struct tmn_access)
#define TMN_WRITE	_IOWR('N', 0x03, struct tmn_access)
#define TMN_LOG		_IOWR('N', 0x04, struct tmn_log)
#define TMN_CHECK	_IOR('N', 0x05, struct tmn_check)
#define TMN_BEHAVE	_IOW('N', 0x06, struct tmn_behave)

#endif /* _LIB_TEST_MMU_NOTIFIER_UAPI_H */

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A software secondary MMU that user space drives, for testing mmu notifiers.
 *
 * The pieces, one per file:
 *
 *   device.c  /dev/test_mmu_notifier, its ioctls and the lifetime of an mmu
 *   mmu.c     the ptes of an mmu: faulting in, copying through, dropping
 *   guard.c   when no pte may be established, and injected behaviour
 *   log.c     the record of all callbacks; locks.c: the locks held at each
 *   check.c   comparison of all ptes with the owner's page table
 *   kvm.c, gru.c, xpmem.c   three manners to register and to invalidate
 *
 * Locking. In this order, outermost first:
 *
 *   tmn_device.setup              TMN_MIRROR and TMN_ATTACH, once per device
 *     mmap_lock of the caller     registering
 *   tmn_mmu.alive                 read: fault, check; write: the end of a mmu
 *     mmap_lock of the owner      get_user_pages(), walking the page table
 *       fs_reclaim, i_mmap_rwsem, anon_vma locks, page-table lock
 *         tmn_guard.lock          every callback, and whoever touches a pte
 *           xa_lock of the ptes, i_pages and all else folio_mark_dirty() takes
 *
 * Callbacks come with any lock of the owner's mm down to the page-table lock,
 * and from reclaim. They take tmn_guard.lock and nothing else, allocate nothing
 * and, where they may sleep, do so without it. So nobody takes a page-table
 * lock, allocates with reclaim or touches user memory under tmn_guard.lock.
 * What XPMEM adds is described in xpmem.c.
 */
#ifndef _LIB_TEST_MMU_NOTIFIER_TMN_H
#define _LIB_TEST_MMU_NOTIFIER_TMN_H

#include <linux/kref.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "../test_mmu_notifier_uapi.h"

#define TMN_LOG_RECORDS		4096
#define TMN_DELAY_MAX		10000	/* milliseconds */

struct tmn_mmu;

/**
 * struct tmn_pte - one entry of a secondary MMU
 * @page: what it maps
 * @writable: writes may go through it
 * @young: accessed since the last test that clears it
 * @held: it owns a reference on @page
 * @leaving: being dropped, not to be used any more
 * @kept: by a broken driver, which forgot to drop it
 */
struct tmn_pte {
	struct page *page;
	bool writable;
	bool young;
	bool held;
	bool leaving;
	bool kept;
};

/**
 * struct tmn_guard - says when no pte may be established
 * @lock: protects all here, and the ptes and logs of all mmus that share it
 * @wait: woken when @in_progress drops to zero, and by TMN_OBEY
 * @seq: changes whenever an invalidation has ended
 * @in_progress: sections that are open
 * @start: first byte of the union of the open sections
 * @end: first byte behind it
 * @released: the owner has exited, so said the notifier
 * @refused: range of the latest section that was refused, to compare only
 * @refused_by: the task that ran it, to compare only
 * @next: what to do at the next start, once
 * @delay: milliseconds to sleep in every blockable callback
 * @obeyed: counts TMN_OBEY
 *
 * Lives as long as the notifier whose sections it counts.
 */
struct tmn_guard {
	spinlock_t lock;	/* callbacks, ptes and logs */
	wait_queue_head_t wait;
	unsigned long seq;
	unsigned int in_progress;
	unsigned long start;
	unsigned long end;
	bool released;
	const struct mmu_notifier_range *refused;
	const struct task_struct *refused_by;
	enum tmn_behaviour next;
	unsigned int delay;
	unsigned long obeyed;
};

/**
 * struct tmn_turn - what one callback has been told to do
 * @refuse: return an error
 * @forget: keep the ptes
 * @block: sleep until TMN_OBEY
 * @delay: milliseconds to sleep
 * @obeyed: &struct tmn_guard.obeyed when @block was set
 */
struct tmn_turn {
	bool refuse;
	bool forget;
	bool block;
	unsigned int delay;
	unsigned long obeyed;
};

/**
 * struct tmn_log_ring - the latest callbacks, oldest first
 * @records: TMN_LOG_RECORDS of them
 * @first: index of the oldest
 * @nr: how many there are
 * @lost: how many did not fit since the log was last read
 */
struct tmn_log_ring {
	struct tmn_record *records;
	unsigned int first;
	unsigned int nr;
	unsigned int lost;
};

/**
 * struct tmn_manner_ops - what distinguishes one manner from another
 * @create: make a mmu of this manner and register it with the mm
 * @destroy: unregister it and drop all ptes; afterwards no callback runs
 * @free: free its memory, when the last reference is gone
 * @begin: wait until no invalidation of @addr is open, then sample the sequence
 * @retry: has an invalidation of @addr come since? Under &tmn_guard.lock
 * @evict: make room for a pte at @addr. Under &tmn_guard.lock, optional
 * @flags: which flags of &struct tmn_mirror are valid
 * @hold: ptes always hold their page
 */
struct tmn_manner_ops {
	struct tmn_mmu *(*create)(const struct tmn_mirror *arg);
	void (*destroy)(struct tmn_mmu *mmu);
	void (*free)(struct tmn_mmu *mmu);
	int (*begin)(struct tmn_mmu *mmu, unsigned long addr,
		     unsigned long *seq);
	bool (*retry)(struct tmn_mmu *mmu, unsigned long addr,
		      unsigned long seq);
	void (*evict)(struct tmn_mmu *mmu, unsigned long addr);
	u32 flags;
	bool hold;
};

/**
 * struct tmn_mmu - one secondary MMU
 * @ref: held by the device that made it and by those attached to it
 * @ops: its manner
 * @mm: the owner; &mm_struct.mm_count is held until the memory is freed
 * @start: first byte that is mirrored
 * @end: first byte behind it
 * @hold: ptes hold a reference on their page
 * @alive: held for reading while ptes are made or checked
 * @dead: nothing may be established any more, written with @alive held
 * @guard: of the notifier, its lock protects the ptes and the log
 * @ptes: &struct tmn_pte by virtual page number
 * @log: of the callbacks
 */
struct tmn_mmu {
	struct kref ref;
	const struct tmn_manner_ops *ops;
	struct mm_struct *mm;
	unsigned long start;
	unsigned long end;
	bool hold;
	struct rw_semaphore alive;
	bool dead;
	struct tmn_guard *guard;
	struct xarray ptes;
	struct tmn_log_ring log;
};

/**
 * struct tmn_device - an open file of /dev/test_mmu_notifier
 * @setup: serialises TMN_MIRROR and TMN_ATTACH
 * @mmu: what it mirrors or is attached to, never changes once set
 * @owner: it made @mmu and so destroys it
 * @mapping: all mappings of this file, so that they can be zapped
 * @attached: entry in the list of the segment it is attached to
 */
struct tmn_device {
	struct mutex setup;	/* TMN_MIRROR, TMN_ATTACH */
	struct tmn_mmu *mmu;
	bool owner;
	struct address_space mapping;
	struct list_head attached;
};

extern const struct tmn_manner_ops tmn_kvm_ops;
extern const struct tmn_manner_ops tmn_gru_ops;
extern const struct tmn_manner_ops tmn_xpmem_ops;

/* Does a callback for [start, end) concern @mmu? */
static inline bool tmn_overlaps(const struct tmn_mmu *mmu, unsigned long start,
				unsigned long end)
{
	return start < mmu->end && end > mmu->start;
}

/* mmu.c */
int tmn_mmu_init(struct tmn_mmu *mmu, const struct tmn_manner_ops *ops,
		 struct tmn_guard *guard, const struct tmn_mirror *arg);
void tmn_mmu_exit(struct tmn_mmu *mmu);
void tmn_mmu_kill(struct tmn_mmu *mmu);
void tmn_mmu_put(struct tmn_mmu *mmu);
int tmn_fault(struct tmn_mmu *mmu, unsigned long addr, bool write);
bool tmn_copy(struct tmn_mmu *mmu, unsigned long addr, void *buf, size_t len,
	      bool write);
void tmn_drop(struct tmn_mmu *mmu, unsigned long start, unsigned long end);
void tmn_invalidate(struct tmn_mmu *mmu, unsigned long start,
		    unsigned long end, bool forget);

/* guard.c */
void tmn_guard_init(struct tmn_guard *guard);
struct tmn_turn tmn_guard_turn(struct tmn_guard *guard,
			       const struct mmu_notifier_range *range);
void tmn_guard_start(struct tmn_guard *guard,
		     const struct mmu_notifier_range *range, bool refuse);
void tmn_guard_end(struct tmn_guard *guard,
		   const struct mmu_notifier_range *range);
int tmn_guard_begin(struct tmn_mmu *mmu, unsigned long addr,
		    unsigned long *seq);
bool tmn_guard_retry(struct tmn_mmu *mmu, unsigned long addr,
		     unsigned long seq);
void tmn_guard_delay(struct tmn_guard *guard);
void tmn_turn_sleep(struct tmn_guard *guard, const struct tmn_turn *turn);
void tmn_behave(struct tmn_guard *guard, enum tmn_behaviour behaviour,
		unsigned int msecs);

/* log.c */
int tmn_log_init(struct tmn_log_ring *log);
void tmn_log_exit(struct tmn_log_ring *log);
void tmn_log_add(struct tmn_mmu *mmu, enum tmn_callback callback,
		 unsigned long start, unsigned long end);
void tmn_log_range(struct tmn_mmu *mmu, enum tmn_callback callback,
		   const struct mmu_notifier_range *range, bool refused);
int tmn_log_read(struct tmn_mmu *mmu, struct tmn_log *arg);

/* check.c */
int tmn_check(struct tmn_mmu *mmu, struct tmn_check *check);

/* xpmem.c */
void tmn_xpmem_attach(struct tmn_device *dev, struct tmn_mmu *mmu);
void tmn_xpmem_detach(struct tmn_device *dev);
int tmn_xpmem_mmap_prepare(struct vm_area_desc *desc, struct tmn_mmu *mmu);

/* locks.c */
#ifdef CONFIG_LOCKDEP
u32 tmn_locks_held(struct mm_struct *mm);
#else
static inline u32 tmn_locks_held(struct mm_struct *mm)
{
	return 0;
}
#endif

#endif /* _LIB_TEST_MMU_NOTIFIER_TMN_H */

/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_MMU_NOTIFIER_H
#define _LINUX_MMU_NOTIFIER_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/bug.h>
#include <linux/hash.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/lockdep.h>
#include <linux/spinlock.h>
#include <linux/mm_types.h>
#include <linux/mmap_lock.h>
#include <linux/srcu.h>
#include <linux/workqueue.h>
#include <linux/interval_tree.h>

struct mmu_notifier_shard;
struct mmu_notifier_subscriptions;
struct mmu_notifier;
struct mmu_notifier_range;
struct mmu_interval_notifier;
struct srcu_ctr;
struct task_struct;

/**
 * enum mmu_notifier_event - why a range is invalidated
 * @MMU_NOTIFY_UNMAP: the mapping goes away, by munmap() or mremap()
 * @MMU_NOTIFY_CLEAR: ptes are cleared, the mapping stays: reclaim, madvise(),
 *	copy on write and others
 * @MMU_NOTIFY_PROTECTION_VMA: mprotect() and alike: vm_page_prot has what
 *	applies to the whole range
 * @MMU_NOTIFY_PROTECTION_PAGE: single ptes change between read-only and
 *	writable, only the page table tells which
 * @MMU_NOTIFY_SOFT_DIRTY: dirty bits are cleared for somebody who follows
 *	writes; pages and rights stay, a mirror has to report its own writes
 * @MMU_NOTIFY_RELEASE: the last user of the mm is gone. Only intervals get this
 *	event, whole-mm subscribers have ->release().
 * @MMU_NOTIFY_MIGRATE: migrate_vma_setup() collects pages. Who finds itself in
 *	@owner of struct mmu_notifier_range has caused it and may ignore it.
 * @MMU_NOTIFY_EXCLUSIVE: make_device_exclusive() replaces a pte; @owner as for
 *	@MMU_NOTIFY_MIGRATE
 */
enum mmu_notifier_event {
	MMU_NOTIFY_UNMAP = 0,
	MMU_NOTIFY_CLEAR,
	MMU_NOTIFY_PROTECTION_VMA,
	MMU_NOTIFY_PROTECTION_PAGE,
	MMU_NOTIFY_SOFT_DIRTY,
	MMU_NOTIFY_RELEASE,
	MMU_NOTIFY_MIGRATE,
	MMU_NOTIFY_EXCLUSIVE,
};

#define MMU_NOTIFIER_RANGE_BLOCKABLE BIT(0)

/**
 * struct mmu_notifier_ops - callbacks of a whole-mm subscription
 *
 * Each may be %NULL. The locks under which they are called are listed in
 * Documentation/mm/mmu_notifier.rst. Addresses are bytes, end is exclusive.
 */
struct mmu_notifier_ops {
	/**
	 * @release: Drop all secondary ptes and create no more.
	 *
	 * Called once: when the last user of the mm is gone, before any page is
	 * freed, or by mmu_notifier_unregister(), whichever comes first. Others
	 * may run meanwhile, for sections found by the reverse map. No callback
	 * but @free_notifier follows its return. A subscriber without it must
	 * have stopped all access, speculative and cached access included, when
	 * the last thread of the mm is gone.
	 *
	 * May sleep.
	 */
	void (*release)(struct mmu_notifier *subscription,
			struct mm_struct *mm);

	/**
	 * @clear_flush_young: Test and clear the accessed bits of a range in
	 * the secondary ptes, and flush the secondary TLB. Returns whether one
	 * was set. Without such bits: unmap, and return whether it was mapped.
	 *
	 * May not sleep.
	 */
	bool (*clear_flush_young)(struct mmu_notifier *subscription,
				  struct mm_struct *mm,
				  unsigned long start,
				  unsigned long end);

	/**
	 * @clear_young: As @clear_flush_young, but the flush may be left out.
	 */
	bool (*clear_young)(struct mmu_notifier *subscription,
			    struct mm_struct *mm,
			    unsigned long start,
			    unsigned long end);

	/**
	 * @test_young: As @clear_young for one address, but changes nothing.
	 */
	bool (*test_young)(struct mmu_notifier *subscription,
			   struct mm_struct *mm,
			   unsigned long address);

	/**
	 * @invalidate_range_start: Drop the secondary ptes of a range, flush
	 * the secondary TLB, and create no more there until the end.
	 *
	 * The pages are still mapped and referenced. They may be freed once
	 * every subscriber has returned, unless the subscriber has references
	 * of its own: these it may drop here or in @invalidate_range_end.
	 * Sections run in parallel, also on overlapping ranges.
	 *
	 * If mmu_notifier_range_blockable() is false it may not sleep, and
	 * returns -EAGAIN if it has to. Otherwise it returns 0: a blockable
	 * range cannot be refused, an error is a bug and counts as 0.
	 */
	int (*invalidate_range_start)(struct mmu_notifier *subscription,
				      const struct mmu_notifier_range *range);

	/**
	 * @invalidate_range_end: Secondary ptes may be created again.
	 *
	 * Called for a range exactly once if and only if the start returned 0
	 * for it: not for a range that was already being invalidated when the
	 * subscription was registered, and not if this subscriber refused. If
	 * another one refuses, the end follows before the section fails.
	 */
	void (*invalidate_range_end)(struct mmu_notifier *subscription,
				     const struct mmu_notifier_range *range);

	/**
	 * @arch_invalidate_secondary_tlbs: Flush a TLB that walks the page table
	 * of the CPU itself. Called by the architecture wherever it flushes
	 * its own TLB, for the same reasons. A subscriber that has it must not
	 * have @invalidate_range_start and @invalidate_range_end.
	 *
	 * May not sleep.
	 */
	void (*arch_invalidate_secondary_tlbs)(struct mmu_notifier *subscription,
					       struct mm_struct *mm,
					       unsigned long start,
					       unsigned long end);

	/**
	 * @alloc_notifier: Called by mmu_notifier_get() for the first user.
	 * Returns the new subscription or an ERR_PTR().
	 *
	 * May sleep.
	 */
	struct mmu_notifier *(*alloc_notifier)(struct mm_struct *mm);

	/**
	 * @free_notifier: Called after the last mmu_notifier_put(), when no
	 * callback runs or will run. The last access to the subscription.
	 *
	 * From a workqueue, may sleep.
	 */
	void (*free_notifier)(struct mmu_notifier *subscription);
};

/**
 * struct mmu_notifier - subscription to the invalidations of a whole mm
 * @ops: callbacks, constant from registration on
 * @mm: the address space; stays readable after mmu_notifier_unregister()
 *
 * Everything else is private to mm/mmu_notifier.c. The memory may hold anything
 * when it is registered and may be freed once mmu_notifier_unregister() has
 * returned or from @ops->free_notifier.
 */
struct mmu_notifier {
	/* private: */
	struct hlist_node hlist;
	/* public: */
	const struct mmu_notifier_ops *ops;
	struct mm_struct *mm;
	/* private: */
	unsigned long epoch;
	long __percpu *refs;
	atomic_long_t refs_left;
	unsigned int users;
	struct task_struct *releaser;
	struct rcu_work free_work;
	struct lockdep_map callback_map;
};

/**
 * struct mmu_interval_notifier_finish - the second pass of an invalidation
 * @link: private to the core
 * @notifier: the interval, set by the core before the second pass
 *
 * Supplied by the driver, as a rule inside of a structure with what the second
 * pass has to know. Each invocation needs one of its own, as invocations run in
 * parallel. There may be many: a driver that cannot do without should have a
 * pool, as the first pass cannot rely on an allocation. It belongs to the driver
 * again once ->invalidate_finish() is called.
 */
struct mmu_interval_notifier_finish {
	struct llist_node link;
	struct mmu_interval_notifier *notifier;
};

/**
 * struct mmu_interval_notifier_ops - callbacks of an interval
 * @invalidate: Stop using secondary ptes of the part of the range that is in the
 *	interval, and call mmu_interval_set_seq(). May sleep. False means that it
 *	would have to sleep but mmu_notifier_range_blockable() is false.
 * @invalidate_start: Called instead of @invalidate if there is one, and may split
 *	its work: if it leaves a struct in *@finish, which is %NULL on entry, then
 *	@invalidate_finish is called with that, after all intervals have started.
 *	So devices can work in parallel.
 * @invalidate_finish: The second pass, also if another interval returned false.
 */
struct mmu_interval_notifier_ops {
	bool (*invalidate)(struct mmu_interval_notifier *interval_sub,
			   const struct mmu_notifier_range *range,
			   unsigned long cur_seq);
	bool (*invalidate_start)(struct mmu_interval_notifier *interval_sub,
				 const struct mmu_notifier_range *range,
				 unsigned long cur_seq,
				 struct mmu_interval_notifier_finish **finish);
	void (*invalidate_finish)(struct mmu_interval_notifier_finish *finish);
};

/**
 * struct mmu_interval_notifier - subscription to the invalidations of a range
 * @interval_tree: the range, bytes, both ends inclusive
 * @ops: callbacks
 * @mm: the address space, %NULL if the insertion failed
 * @invalidate_seq: the last collision, see mmu_interval_set_seq()
 *
 * Everything else is private to mm/mmu_notifier_interval.c. The memory may hold
 * anything when it is inserted and may be freed once
 * mmu_interval_notifier_remove() has returned.
 */
struct mmu_interval_notifier {
	struct interval_tree_node interval_tree;
	const struct mmu_interval_notifier_ops *ops;
	struct mm_struct *mm;
	unsigned long invalidate_seq;
	/* private: */
	atomic_t active;
	atomic_t refs;
	bool dying;
	struct lockdep_map callback_map;
};

#ifdef CONFIG_MMU_NOTIFIER

#ifdef CONFIG_LOCKDEP
extern struct lockdep_map __mmu_notifier_invalidate_range_start_map;
#endif

/*
 * Bit 0 of mm->notifier_subscriptions: somebody is subscribed. Without it the
 * registry, if there is one, only waits for the next subscription or __mmdrop().
 */
#define MMU_NOTIFIER_LIVE	1UL

/* Sections of an mm without subscriptions are counted in one of these */
#define MMU_NOTIFIER_DOMAIN_BITS	4
extern struct srcu_struct *const
mmu_notifier_domains[1 << MMU_NOTIFIER_DOMAIN_BITS];

/*
 * range->registry of a section that found no subscription, and is counted in a
 * domain or not at all.
 */
#define MMU_NOTIFIER_IN_DOMAIN	((struct mmu_notifier_subscriptions *)1UL)
#define MMU_NOTIFIER_UNCOUNTED	((struct mmu_notifier_subscriptions *)2UL)

/**
 * struct mmu_notifier_range - one section: what is invalidated, and why
 * @mm: the address space
 * @start: first byte
 * @end: first byte after the range
 * @flags: MMU_NOTIFIER_RANGE_BLOCKABLE or 0
 * @event: the reason
 * @owner: for MMU_NOTIFY_MIGRATE and MMU_NOTIFY_EXCLUSIVE, who caused it
 *
 * Initialized by mmu_notifier_range_init(), it belongs to the core from
 * mmu_notifier_invalidate_range_start() to
 * mmu_notifier_invalidate_range_end(), which one task calls in pairs, and may
 * neither move nor change in between.
 */
struct mmu_notifier_range {
	struct mm_struct *mm;
	unsigned long start;
	unsigned long end;
	unsigned int flags;
	enum mmu_notifier_event event;
	void *owner;
	/* private: the core's, registry is NULL outside a section */
	struct mmu_notifier_subscriptions *registry;
	union {
		struct srcu_ctr __percpu *domain_ctr;
		unsigned long epoch;
	};
	struct mmu_notifier_shard *shard;
	struct hlist_node shard_node;
	struct mmu_interval_notifier *first_hit;
};

static inline int mm_has_notifiers(struct mm_struct *mm)
{
	return unlikely((unsigned long)READ_ONCE(mm->notifier_subscriptions) &
			MMU_NOTIFIER_LIVE);
}

static inline struct srcu_struct *mmu_notifier_domain(struct mm_struct *mm)
{
	return mmu_notifier_domains[hash_ptr(mm, MMU_NOTIFIER_DOMAIN_BITS)];
}

struct mmu_notifier *mmu_notifier_get(const struct mmu_notifier_ops *ops,
				      struct mm_struct *mm);
void mmu_notifier_put(struct mmu_notifier *subscription);
void mmu_notifier_synchronize(void);

int mmu_notifier_register(struct mmu_notifier *subscription,
			  struct mm_struct *mm);
void mmu_notifier_unregister(struct mmu_notifier *subscription,
			     struct mm_struct *mm);

unsigned long
mmu_interval_read_begin(struct mmu_interval_notifier *interval_sub);
int mmu_interval_notifier_insert(struct mmu_interval_notifier *interval_sub,
				 struct mm_struct *mm, unsigned long start,
				 unsigned long length,
				 const struct mmu_interval_notifier_ops *ops);
void mmu_interval_notifier_remove(struct mmu_interval_notifier *interval_sub);

/* For callers that hold mmap_lock for write. The core does not need it. */
static inline int __mmu_notifier_register(struct mmu_notifier *subscription,
					  struct mm_struct *mm)
{
	mmap_assert_write_locked(mm);
	return mmu_notifier_register(subscription, mm);
}

static inline struct mmu_notifier *
mmu_notifier_get_locked(const struct mmu_notifier_ops *ops,
			struct mm_struct *mm)
{
	mmap_assert_write_locked(mm);
	return mmu_notifier_get(ops, mm);
}

static inline int
mmu_interval_notifier_insert_locked(struct mmu_interval_notifier *interval_sub,
				    struct mm_struct *mm, unsigned long start,
				    unsigned long length,
				    const struct mmu_interval_notifier_ops *ops)
{
	mmap_assert_write_locked(mm);
	return mmu_interval_notifier_insert(interval_sub, mm, start, length,
					    ops);
}

/**
 * mmu_interval_set_seq - Make readers of an interval retry
 * @interval_sub: the interval
 * @cur_seq: what ->invalidate() was called with, odd and unique to the section
 *
 * To be called by ->invalidate(), under the lock of the driver under which
 * mmu_interval_read_retry() is called. Only a driver without readers can leave it
 * out.
 *
 * Context: In ->invalidate() or ->invalidate_start().
 */
static inline void
mmu_interval_set_seq(struct mmu_interval_notifier *interval_sub,
		     unsigned long cur_seq)
{
	/* Barrier E: pairs with the acquire in mmu_interval_read_begin() */
	smp_store_release(&interval_sub->invalidate_seq, cur_seq);
}

/**
 * mmu_interval_read_retry - End a reader of an interval
 * @interval_sub: the interval
 * @seq: the result of mmu_interval_read_begin()
 *
 * If false, what was read since mmu_interval_read_begin() is still true as long
 * as the driver's lock is held.
 *
 * Context: Under the lock of the driver that mmu_interval_set_seq() is called
 * under.
 * Return: true if the interval was invalidated since then.
 */
static inline bool
mmu_interval_read_retry(struct mmu_interval_notifier *interval_sub,
			unsigned long seq)
{
	return interval_sub->invalidate_seq != seq;
}

/**
 * mmu_interval_check_retry - See whether a reader of an interval has to retry
 * @interval_sub: the interval
 * @seq: the result of mmu_interval_read_begin()
 *
 * To give up early in a long operation. False says nothing.
 *
 * Context: Any, between mmu_interval_read_begin() and
 * mmu_interval_read_retry().
 * Return: true if mmu_interval_read_retry() will return true.
 */
static inline bool
mmu_interval_check_retry(struct mmu_interval_notifier *interval_sub,
			 unsigned long seq)
{
	/* Pairs with the store in mmu_interval_set_seq() */
	return READ_ONCE(interval_sub->invalidate_seq) != seq;
}

void __mmu_notifier_subscriptions_destroy(struct mm_struct *mm);
void __mmu_notifier_release(struct mm_struct *mm);
bool __mmu_notifier_clear_flush_young(struct mm_struct *mm, unsigned long start,
				      unsigned long end);
bool __mmu_notifier_clear_young(struct mm_struct *mm, unsigned long start,
				unsigned long end);
bool __mmu_notifier_test_young(struct mm_struct *mm, unsigned long address);
int __mmu_notifier_invalidate_range_start(struct mmu_notifier_range *range);
void __mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range);
void __mmu_notifier_arch_invalidate_secondary_tlbs(struct mm_struct *mm,
						   unsigned long start,
						   unsigned long end);

static inline bool
mmu_notifier_range_blockable(const struct mmu_notifier_range *range)
{
	return (range->flags & MMU_NOTIFIER_RANGE_BLOCKABLE);
}

static inline void mmu_notifier_release(struct mm_struct *mm)
{
	if (READ_ONCE(mm->notifier_subscriptions))
		__mmu_notifier_release(mm);
}

static inline bool mmu_notifier_clear_flush_young(struct mm_struct *mm,
						  unsigned long start,
						  unsigned long end)
{
	if (mm_has_notifiers(mm))
		return __mmu_notifier_clear_flush_young(mm, start, end);
	return false;
}

static inline bool mmu_notifier_clear_young(struct mm_struct *mm,
					    unsigned long start,
					    unsigned long end)
{
	if (mm_has_notifiers(mm))
		return __mmu_notifier_clear_young(mm, start, end);
	return false;
}

static inline bool mmu_notifier_test_young(struct mm_struct *mm,
					   unsigned long address)
{
	if (mm_has_notifiers(mm))
		return __mmu_notifier_test_young(mm, address);
	return false;
}

/*
 * Enter the domain and look for subscriptions, in this order: a registration
 * makes itself visible, then waits for the domain. See mm/mmu_notifier.c. Who
 * sees one at once needs no domain.
 *
 * Once the last user of the mm is gone nobody is left to register, and nobody
 * must wait for the teardown of a whole mm.
 */
static inline bool mmu_notifier_section_unused(struct mmu_notifier_range *range)
{
	struct mm_struct *mm = range->mm;

	if (mm_has_notifiers(mm))
		return false;
	if (likely(atomic_read(&mm->mm_users))) {
		/* Barrier C */
		range->domain_ctr =
			srcu_read_lock_fast(mmu_notifier_domain(mm));
		range->registry = MMU_NOTIFIER_IN_DOMAIN;
	} else {
		/* What its last user registered is visible */
		smp_acquire__after_ctrl_dep();
		range->registry = MMU_NOTIFIER_UNCOUNTED;
	}
	return !mm_has_notifiers(mm);
}

static inline int mmu_notifier_section_start(struct mmu_notifier_range *range)
{
	bool unused;
	int ret = 0;

	if (IS_ENABLED(CONFIG_DEBUG_VM) && WARN_ON_ONCE(range->registry))
		return -EBUSY;
	unused = mmu_notifier_section_unused(range);
	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
	if (!unused)
		ret = __mmu_notifier_invalidate_range_start(range);
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);
	return ret;
}

/**
 * mmu_notifier_invalidate_range_start - Start a section
 * @range: the section, see there
 *
 * On return no subscriber uses or creates secondary ptes in the range.
 *
 * Context: Process context. Sleeps. Under mmap_lock, the lock of a VMA or locks
 * of the reverse map, which keep the mm and its VMAs.
 */
static inline void
mmu_notifier_invalidate_range_start(struct mmu_notifier_range *range)
{
	might_sleep();

	range->flags |= MMU_NOTIFIER_RANGE_BLOCKABLE;
	mmu_notifier_section_start(range);
}

/**
 * mmu_notifier_invalidate_range_start_nonblock - Start a section, do not sleep
 * @range: the section
 *
 * All whole-mm subscribers are asked, also after one has refused.
 *
 * Context: Any but hard and soft interrupt.
 * Return: 0, or -EAGAIN if somebody refused: then the ptes must not be touched,
 * and there is no section to end.
 */
static inline int __must_check
mmu_notifier_invalidate_range_start_nonblock(struct mmu_notifier_range *range)
{
	range->flags &= ~MMU_NOTIFIER_RANGE_BLOCKABLE;
	return mmu_notifier_section_start(range);
}

/**
 * mmu_notifier_invalidate_range_end - End a section
 * @range: the section, unchanged since its start
 *
 * Asks the range alone what its start did: who is subscribed may have changed.
 *
 * Context: As the start, by the same task.
 */
static inline void
mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range)
{
	if (mmu_notifier_range_blockable(range))
		might_sleep();

	if (unlikely(range->registry != MMU_NOTIFIER_IN_DOMAIN)) {
		__mmu_notifier_invalidate_range_end(range);
		return;
	}
	range->registry = NULL;
	srcu_read_unlock_fast(mmu_notifier_domain(range->mm),
			      range->domain_ctr);
}

static inline void
mmu_notifier_arch_invalidate_secondary_tlbs(struct mm_struct *mm,
					    unsigned long start,
					    unsigned long end)
{
	if (mm_has_notifiers(mm))
		__mmu_notifier_arch_invalidate_secondary_tlbs(mm, start, end);
}

static inline void mmu_notifier_subscriptions_init(struct mm_struct *mm)
{
	mm->notifier_subscriptions = NULL;
}

static inline void mmu_notifier_subscriptions_destroy(struct mm_struct *mm)
{
	if (mm->notifier_subscriptions)
		__mmu_notifier_subscriptions_destroy(mm);
}

static inline void mmu_notifier_range_init(struct mmu_notifier_range *range,
					   enum mmu_notifier_event event,
					   unsigned int flags,
					   struct mm_struct *mm,
					   unsigned long start,
					   unsigned long end)
{
	range->event = event;
	range->mm = mm;
	range->start = start;
	range->end = end;
	range->flags = flags;
	range->owner = NULL;
	/* All fields: so a compiler that clears the stack does not do it twice */
	range->registry = NULL;
	range->domain_ctr = NULL;
	range->shard = NULL;
	INIT_HLIST_NODE(&range->shard_node);
	range->first_hit = NULL;
}

static inline void
mmu_notifier_range_init_owner(struct mmu_notifier_range *range,
			      enum mmu_notifier_event event, unsigned int flags,
			      struct mm_struct *mm, unsigned long start,
			      unsigned long end, void *owner)
{
	mmu_notifier_range_init(range, event, flags, mm, start, end);
	range->owner = owner;
}

#else /* CONFIG_MMU_NOTIFIER */

struct mmu_notifier_range {
	unsigned long start;
	unsigned long end;
};

static inline void mmu_notifier_range_init(struct mmu_notifier_range *range,
					   enum mmu_notifier_event event,
					   unsigned int flags,
					   struct mm_struct *mm,
					   unsigned long start,
					   unsigned long end)
{
	range->start = start;
	range->end = end;
}

static inline void
mmu_notifier_range_init_owner(struct mmu_notifier_range *range,
			      enum mmu_notifier_event event, unsigned int flags,
			      struct mm_struct *mm, unsigned long start,
			      unsigned long end, void *owner)
{
	mmu_notifier_range_init(range, event, flags, mm, start, end);
}

static inline bool
mmu_notifier_range_blockable(const struct mmu_notifier_range *range)
{
	return true;
}

static inline int mm_has_notifiers(struct mm_struct *mm)
{
	return 0;
}

static inline void mmu_notifier_release(struct mm_struct *mm)
{
}

static inline bool mmu_notifier_clear_flush_young(struct mm_struct *mm,
						  unsigned long start,
						  unsigned long end)
{
	return false;
}

static inline bool mmu_notifier_clear_young(struct mm_struct *mm,
					    unsigned long start,
					    unsigned long end)
{
	return false;
}

static inline bool mmu_notifier_test_young(struct mm_struct *mm,
					   unsigned long address)
{
	return false;
}

static inline void
mmu_notifier_invalidate_range_start(struct mmu_notifier_range *range)
{
}

static inline int
mmu_notifier_invalidate_range_start_nonblock(struct mmu_notifier_range *range)
{
	return 0;
}

static inline void
mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range)
{
}

static inline void
mmu_notifier_arch_invalidate_secondary_tlbs(struct mm_struct *mm,
					    unsigned long start,
					    unsigned long end)
{
}

static inline void mmu_notifier_subscriptions_init(struct mm_struct *mm)
{
}

static inline void mmu_notifier_subscriptions_destroy(struct mm_struct *mm)
{
}

static inline void mmu_notifier_synchronize(void)
{
}

#endif /* CONFIG_MMU_NOTIFIER */

#endif /* _LINUX_MMU_NOTIFIER_H */

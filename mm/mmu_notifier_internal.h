/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __MM_MMU_NOTIFIER_INTERNAL_H
#define __MM_MMU_NOTIFIER_INTERNAL_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rbtree.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/wait_bit.h>

/* How many sections are between start and end, by the low bit of the epoch */
struct mn_sections {
	long count[2];
};

/* One part of the sections in flight that intervals must know of */
struct mmu_notifier_shard {
	spinlock_t lock;	/* ranges, their first_hit; one reader of the tree */
	struct hlist_head ranges;
} __aligned(64);

/* More shards cost memory and insertions, fewer make CPUs share a lock */
#define MN_MAX_SHARDS	16

enum mn_interval_state {
	MN_INTERVALS_OFF,	/* sections ignore the intervals */
	MN_INTERVALS_ARMING,	/* new sections join a shard, old ones drain */
	MN_INTERVALS_ON,	/* every section is in a shard */
};

/**
 * struct mmu_notifier_subscriptions - the registry of one mm
 * @gen: current generation, the epoch of the sections that start now
 * @list: whole-mm subscriptions, the youngest first
 * @sections: sections in flight, per CPU
 * @intervals: enum mn_interval_state
 * @shard_mask: number of @shards minus one
 * @shards: allocated by the first interval
 * @tree: interval subscriptions; readers hold the lock of one shard or @lock,
 *        writers hold @lock and those of all shards
 * @mutex: one registration at a time
 * @lock: protects everything but @sections and the atomics
 * @nr: subscriptions in @list and @tree, and the one that is ARMING @intervals
 * @used: @gen has moved, so that there may be sections of an older epoch
 * @left: sections of the previous epoch that a registration waits for
 * @seq: the last cur_seq given to a section, changes when an interval is hit
 *
 * Comes with the first subscription, stays until __mmdrop().
 */
struct mmu_notifier_subscriptions {
	/* Read by every section, written by registration */
	unsigned long gen;
	struct hlist_head list;
	struct mn_sections __percpu *sections;
	u8 intervals;
	unsigned int shard_mask;
	struct mmu_notifier_shard *shards;
	struct rb_root_cached tree;
	/* Registration, unregistration and release */
	struct mutex mutex ____cacheline_aligned_in_smp;
	spinlock_t lock;	/* all but @sections and the atomics */
	unsigned int nr;
	bool used;
	atomic_long_t left;
	/* Sections that hit an interval */
	atomic_long_t seq ____cacheline_aligned_in_smp;
};

/* The registry of @mm, live or not; valid while the caller pins @mm */
static inline struct mmu_notifier_subscriptions *
mn_registry(struct mm_struct *mm)
{
	unsigned long val = (unsigned long)READ_ONCE(mm->notifier_subscriptions);

	return (struct mmu_notifier_subscriptions *)(val & ~MMU_NOTIFIER_LIVE);
}

/* Where the sections of @epoch are counted */
static inline long __percpu *
mn_slot(struct mmu_notifier_subscriptions *registry, unsigned long epoch)
{
	return &registry->sections->count[epoch & 1];
}

/*
 * Avoids the mutex of the allocator if it can: who holds that may be reclaiming,
 * and wait for a callback of some other mm.
 */
#define mn_alloc_percpu(type)						\
	(alloc_percpu_gfp(type, GFP_NOWAIT) ?: alloc_percpu(type))

/*
 * Count down in an RCU reader: on this CPU, or in @left once somebody has
 * revoked the permission to count and waits in mn_drain(). What is counted may
 * be gone right after.
 */
static inline void mn_count_down(long __percpu *count, atomic_long_t *left,
				 bool permitted)
{
	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "counts without barriers B, D");

	if (likely(permitted))
		this_cpu_dec(*count);
	else if (atomic_long_dec_and_test(left))
		wake_up_var(left);
}

/* In the list of its registry: the permission to take references */
static inline bool mn_linked(struct mmu_notifier *subscription)
{
	return !hlist_unhashed_lockless(&subscription->hlist);
}

/*
 * References of callbacks on a whole-mm subscription, in an RCU reader. Taken
 * under registry->lock, too, where a subscription in the list stays there.
 */

static inline void mn_ref_get(struct mmu_notifier *subscription)
{
	this_cpu_inc(*subscription->refs);
}

/* @linked: mn_linked(), seen in this reader */
static inline void mn_ref_put(struct mmu_notifier *subscription, bool linked)
{
	mn_count_down(subscription->refs, &subscription->refs_left, linked);
}

/*
 * While a callback runs, lockdep knows that this task is in it: the one case
 * in which waiting for the callback can be seen to be a deadlock. No
 * dependencies are recorded, as one class stands for all subscriptions.
 */
static inline void mn_callback_enter(struct lockdep_map *map)
{
	lock_acquire(map, 0, 0, 2, 0, NULL, _THIS_IP_);
}

static inline void mn_callback_leave(struct lockdep_map *map)
{
	lock_release(map, _THIS_IP_);
}

static inline bool mn_in_own_callback(struct lockdep_map *map)
{
	/* Negative once lockdep is off: it does not know */
	return IS_ENABLED(CONFIG_LOCKDEP) && lock_is_held(map) > 0;
}

/* A wait for callbacks: the caller must not hold what callbacks take */
static inline void mn_might_wait_for_callbacks(void)
{
	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);
}

/* mm/mmu_notifier.c */
struct mmu_notifier_subscriptions *mn_registry_get(struct mm_struct *mm);
void mn_activate(struct mmu_notifier_subscriptions *registry,
		 struct mm_struct *mm, struct mmu_notifier *subscription);
void mn_subscription_gone(struct mmu_notifier_subscriptions *registry,
			  struct mm_struct *mm);
void mn_drain(long __percpu *count, atomic_long_t *left);

/* mm/mmu_notifier_interval.c */
int mn_interval_start(struct mmu_notifier_subscriptions *registry,
		      struct mmu_notifier_range *range);
void mn_interval_end(struct mmu_notifier_range *range);
void mn_interval_release(struct mmu_notifier_subscriptions *registry,
			 struct mm_struct *mm);

#endif /* __MM_MMU_NOTIFIER_INTERNAL_H */

// SPDX-License-Identifier: GPL-2.0-only
/*
 * MMU notifiers: sections, and which subscriptions of a whole mm they call. For
 * the algorithm and the barriers see mm/mmu_notifier.c.
 */

#include <linux/mmdebug.h>
#include <linux/mmu_notifier.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>

#include "mmu_notifier_internal.h"

/*
 * The list
 */

static struct mmu_notifier *mn_entry(struct hlist_node *node)
{
	return hlist_entry_safe(node, struct mmu_notifier, hlist);
}

static struct mmu_notifier *
mn_first(struct mmu_notifier_subscriptions *registry)
{
	return mn_entry(rcu_dereference(hlist_first_rcu(&registry->list)));
}

static struct mmu_notifier *mn_next(struct mmu_notifier *subscription)
{
	return mn_entry(rcu_dereference(hlist_next_rcu(&subscription->hlist)));
}

/*
 * The age of a subscription, seen from a section: how many generations it was
 * there before the one that could come while the section is in flight. Zero is
 * that one, see above mn_due(). Wraps only for a subscription that has seen as
 * many registrations of its mm as a long can count.
 */
static unsigned long mn_age(const struct mmu_notifier *subscription,
			    const struct mmu_notifier_range *range)
{
	return range->epoch + 1 - subscription->epoch;
}

/* Where to go on from a subscription that was unlinked: ->next may be stale */
static struct mmu_notifier *
mn_first_older(struct mmu_notifier_subscriptions *registry,
	       const struct mmu_notifier_range *range,
	       struct mmu_notifier *subscription)
{
	struct mmu_notifier *pos;

	for (pos = mn_first(registry); pos; pos = mn_next(pos))
		if (mn_age(pos, range) > mn_age(subscription, range))
			break;
	return pos;
}

enum mn_half { MN_START, MN_END };

/* The same test of the age at both ends of a section */
static bool mn_due(const struct mmu_notifier *subscription,
		   const struct mmu_notifier_range *range, enum mn_half half)
{
	const struct mmu_notifier_ops *ops = subscription->ops;

	if (!mn_age(subscription, range))
		return false;
	return half == MN_START ? !!ops->invalidate_range_start :
				  !!ops->invalidate_range_end;
}

/*
 * The walk: mn_begin(), then mn_advance() until there is none; who breaks out
 * leaks a reference. In an RCU reader, which the caller leaves for the callbacks.
 * Inlined, because most sections are little more than a walk of one subscription.
 */

/* Take a reference on the first of @pos and those behind it that is due */
static __always_inline struct mmu_notifier *
mn_get_due(struct mmu_notifier *pos, const struct mmu_notifier_range *range,
	   enum mn_half half)
{
	while (pos && !mn_due(pos, range, half))
		pos = mn_next(pos);
	if (pos)
		mn_ref_get(pos);
	return pos;
}

static __always_inline struct mmu_notifier *
mn_begin(struct mmu_notifier_subscriptions *registry,
	 const struct mmu_notifier_range *range, enum mn_half half)
{
	return mn_get_due(mn_first(registry), range, half);
}

/*
 * @prev was found in an earlier RCU reader, with a reference. As long as it is
 * linked, its successor is linked or was so within this reader: had the
 * successor been unlinked before, then ->next would have been updated before.
 */
static __always_inline struct mmu_notifier *
mn_advance(struct mmu_notifier_subscriptions *registry,
	   const struct mmu_notifier_range *range, struct mmu_notifier *prev,
	   enum mn_half half)
{
	bool linked = mn_linked(prev);	/* Barrier D */
	struct mmu_notifier *next;

	next = likely(linked) ? mn_next(prev) :
				mn_first_older(registry, range, prev);
	next = mn_get_due(next, range, half);
	mn_ref_put(prev, linked);
	return next;
}

/*
 * Delivery
 */

static __always_inline int
mn_call_start(struct mmu_notifier *subscription,
	      const struct mmu_notifier_range *range, bool blockable)
{
	const struct mmu_notifier_ops *ops = subscription->ops;
	int ret;

	mn_callback_enter(&subscription->callback_map);
	if (!blockable)
		non_block_start();
	ret = ops->invalidate_range_start(subscription, range);
	if (!blockable)
		non_block_end();
	mn_callback_leave(&subscription->callback_map);

	if (likely(!ret))
		return 0;
	WARN_ONCE(blockable || ret != -EAGAIN,
		  "%pS callback failed with %d in %sblockable context.\n",
		  ops->invalidate_range_start, ret, blockable ? "" : "non-");
	/* The section goes on all the same, so the subscriber gets its end */
	return blockable ? 0 : -EAGAIN;
}

static void mn_call_end(struct mmu_notifier *subscription,
			const struct mmu_notifier_range *range)
{
	bool blockable = mmu_notifier_range_blockable(range);

	mn_callback_enter(&subscription->callback_map);
	if (!blockable)
		non_block_start();
	subscription->ops->invalidate_range_end(subscription, range);
	if (!blockable)
		non_block_end();
	mn_callback_leave(&subscription->callback_map);
}

/* How many refusals a section remembers */
#define MN_MAX_REFUSALS	8

struct mn_refusals {
	unsigned int nr;
	unsigned long age[MN_MAX_REFUSALS];
};

/* Is there an end to come from the walk that follows the starts? */
static bool mn_refusals_end(const struct mn_refusals *refusals,
			    unsigned long age)
{
	unsigned int i;

	for (i = 0; i < refusals->nr; i++)
		if (refusals->age[i] == age)
			return false;
	return refusals->nr < MN_MAX_REFUSALS ||
	       age < refusals->age[MN_MAX_REFUSALS - 1];
}

/* In an RCU reader, but for the callbacks, like the starts */
static __always_inline void
mn_list_end(struct mmu_notifier_subscriptions *registry,
	    const struct mmu_notifier_range *range,
	    const struct mn_refusals *refusals)
{
	struct mmu_notifier *pos;

	for (pos = mn_begin(registry, range, MN_END); pos;
	     pos = mn_advance(registry, range, pos, MN_END)) {
		rcu_read_unlock();
		if (!refusals || mn_refusals_end(refusals, mn_age(pos, range)))
			mn_call_end(pos, range);
		rcu_read_lock();	/* Barrier D */
	}
}

static void mn_list_start(struct mmu_notifier_subscriptions *registry,
			  const struct mmu_notifier_range *range)
{
	struct mmu_notifier *pos;

	for (pos = mn_begin(registry, range, MN_START); pos;
	     pos = mn_advance(registry, range, pos, MN_START)) {
		rcu_read_unlock();
		mn_call_start(pos, range, true);
		rcu_read_lock();	/* Barrier D */
	}
}

/*
 * Everybody is offered the section, also after somebody refused: who has freed
 * its part by then need not be asked again. Then whoever accepted gets the end.
 * When too many refused to remember, whoever accepts after them, being older,
 * gets the end at once.
 */
static noinline int
mn_list_start_nonblock(struct mmu_notifier_subscriptions *registry,
		       const struct mmu_notifier_range *range)
{
	struct mmu_notifier *pos;
	struct mn_refusals refusals;

	refusals.nr = 0;
	for (pos = mn_begin(registry, range, MN_START); pos;
	     pos = mn_advance(registry, range, pos, MN_START)) {
		rcu_read_unlock();
		if (mn_call_start(pos, range, false)) {
			if (refusals.nr < MN_MAX_REFUSALS)
				refusals.age[refusals.nr++] = mn_age(pos, range);
		} else if (refusals.nr == MN_MAX_REFUSALS &&
			   pos->ops->invalidate_range_end) {
			mn_call_end(pos, range);
		}
		rcu_read_lock();	/* Barrier D */
	}
	if (likely(!refusals.nr))
		return 0;
	mn_list_end(registry, range, &refusals);
	return -EAGAIN;
}

/*
 * Sections
 */

/* Returns whether the section must join the intervals */
static bool mn_section_enter(struct mmu_notifier_subscriptions *registry,
			     struct mmu_notifier_range *range)
{
	range->registry = registry;
	range->epoch = smp_load_acquire(&registry->gen);	/* Barrier A */
	this_cpu_inc(*mn_slot(registry, range->epoch));
	/* Acquire: ->shards has been set before */
	return smp_load_acquire(&registry->intervals) != MN_INTERVALS_OFF;
}

static void mn_section_leave(struct mmu_notifier_subscriptions *registry,
			     struct mmu_notifier_range *range)
{
	mn_count_down(mn_slot(registry, range->epoch), &registry->left,
		      READ_ONCE(registry->gen) == range->epoch);
	range->registry = NULL;
}

/* The intervals come first. They may sleep, so not in the RCU reader */
static int mn_section_start(struct mmu_notifier_subscriptions *registry,
			    struct mmu_notifier_range *range)
{
	int ret = 0;

	if (mn_section_enter(registry, range)) {
		rcu_read_unlock();
		ret = mn_interval_start(registry, range);
		rcu_read_lock();	/* Barriers B, D */
	}
	if (!ret && likely(mmu_notifier_range_blockable(range)))
		mn_list_start(registry, range);
	else if (!ret)
		ret = mn_list_start_nonblock(registry, range);
	if (unlikely(ret)) {
		if (range->shard)
			mn_interval_end(range);
		mn_section_leave(registry, range);
	}
	return ret;
}

int __mmu_notifier_invalidate_range_start(struct mmu_notifier_range *range)
{
	int ret;

	if (WARN_ONCE(range->registry > MMU_NOTIFIER_UNCOUNTED,
		      "start without end of the section before\n"))
		return -EBUSY;
	/*
	 * The domain can go before the section is counted: a registration that
	 * misses it in the slot of the old epoch has advanced the generation
	 * before the section reads it.
	 */
	if (unlikely(range->registry == MMU_NOTIFIER_IN_DOMAIN))
		srcu_read_unlock_fast(mmu_notifier_domain(range->mm),
				      range->domain_ctr);
	if (WARN_ONCE(range->start >= range->end,
		      "invalid range [%#lx, %#lx), event %d\n",
		      range->start, range->end, range->event)) {
		/* Only a blockable section ends */
		range->registry = mmu_notifier_range_blockable(range) ?
				  MMU_NOTIFIER_UNCOUNTED : NULL;
		return -EINVAL;
	}

	rcu_read_lock();	/* Barriers B, D */
	ret = mn_section_start(mn_registry(range->mm), range);
	rcu_read_unlock();
	return ret;
}

void __mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range)
{
	struct mmu_notifier_subscriptions *registry = range->registry;

	if (unlikely(registry <= MMU_NOTIFIER_UNCOUNTED)) {
		WARN_ONCE(registry != MMU_NOTIFIER_UNCOUNTED,
			  "end without start\n");
		range->registry = NULL;
		return;
	}

	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
	if (range->shard)
		mn_interval_end(range);
	rcu_read_lock();	/* Barriers B, D */
	mn_list_end(registry, range, NULL);
	mn_section_leave(registry, range);
	rcu_read_unlock();
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);
}

/*
 * Callbacks that may not sleep
 */

bool __mmu_notifier_clear_flush_young(struct mm_struct *mm,
				      unsigned long start, unsigned long end)
{
	struct mmu_notifier *pos;
	bool young = false;

	rcu_read_lock();	/* Barrier D */
	hlist_for_each_entry_rcu(pos, &mn_registry(mm)->list, hlist)
		if (pos->ops->clear_flush_young)
			young |= pos->ops->clear_flush_young(pos, mm, start,
							     end);
	rcu_read_unlock();
	return young;
}

bool __mmu_notifier_clear_young(struct mm_struct *mm, unsigned long start,
				unsigned long end)
{
	struct mmu_notifier *pos;
	bool young = false;

	rcu_read_lock();	/* Barrier D */
	hlist_for_each_entry_rcu(pos, &mn_registry(mm)->list, hlist)
		if (pos->ops->clear_young)
			young |= pos->ops->clear_young(pos, mm, start, end);
	rcu_read_unlock();
	return young;
}

bool __mmu_notifier_test_young(struct mm_struct *mm, unsigned long address)
{
	struct mmu_notifier *pos;
	bool young = false;

	rcu_read_lock();	/* Barrier D */
	hlist_for_each_entry_rcu(pos, &mn_registry(mm)->list, hlist) {
		if (pos->ops->test_young)
			young = pos->ops->test_young(pos, mm, address);
		if (young)
			break;
	}
	rcu_read_unlock();
	return young;
}

void __mmu_notifier_arch_invalidate_secondary_tlbs(struct mm_struct *mm,
						   unsigned long start,
						   unsigned long end)
{
	struct mmu_notifier *pos;

	VM_WARN_ON_ONCE(start >= end);
	rcu_read_lock();	/* Barrier D */
	hlist_for_each_entry_rcu(pos, &mn_registry(mm)->list, hlist)
		if (pos->ops->arch_invalidate_secondary_tlbs)
			pos->ops->arch_invalidate_secondary_tlbs(pos, mm,
								 start, end);
	rcu_read_unlock();
}

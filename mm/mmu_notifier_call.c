// SPDX-License-Identifier: GPL-2.0-only
/*
 * MMU notifiers for a whole mm: who is called. For the algorithm and the barriers
 * see mm/mmu_notifier.c.
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

/*
 * The successor of a subscription that was found in an earlier RCU reader and
 * on which the caller holds a reference.
 *
 * As long as it is linked, its successor is linked or was so within this
 * reader: had the successor been unlinked before, then ->next would have been
 * updated before. Once it is unlinked ->next may be stale and the age tells
 * where to go on.
 */
static struct mmu_notifier *
mn_continue(struct mmu_notifier_subscriptions *registry,
	    const struct mmu_notifier_range *range,
	    struct mmu_notifier *subscription)
{
	struct mmu_notifier *pos;

	if (likely(!hlist_unhashed_lockless(&subscription->hlist)))
		return mn_next(subscription);

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
 * Take a reference on the next subscription to call, drop that on @prev. Goes
 * on to the end: who breaks out would leak the reference.
 */
static struct mmu_notifier *
mn_advance(struct mmu_notifier_subscriptions *registry,
	   const struct mmu_notifier_range *range, struct mmu_notifier *prev,
	   enum mn_half half)
{
	struct mmu_notifier *pos;

	rcu_read_lock();	/* Barrier D */
	pos = prev ? mn_continue(registry, range, prev) : mn_first(registry);
	while (pos && !mn_due(pos, range, half))
		pos = mn_next(pos);
	if (pos)
		mn_ref_get(pos);
	if (prev)
		mn_ref_put(prev);
	rcu_read_unlock();
	return pos;
}

/*
 * Delivery
 */

static int mn_call_start(struct mmu_notifier *subscription,
			 const struct mmu_notifier_range *range)
{
	const struct mmu_notifier_ops *ops = subscription->ops;
	bool blockable = mmu_notifier_range_blockable(range);
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

/*
 * Everybody is offered the section, also after somebody refused: who has freed
 * its part by then need not be asked again. Then whoever accepted gets the end.
 * When too many refused to remember, whoever accepts after them, being older,
 * gets the end at once.
 */
int mn_list_start(struct mmu_notifier_subscriptions *registry,
		  const struct mmu_notifier_range *range)
{
	struct mmu_notifier *pos = NULL;
	struct mn_refusals refusals;

	refusals.nr = 0;
	while ((pos = mn_advance(registry, range, pos, MN_START))) {
		if (mn_call_start(pos, range)) {
			if (refusals.nr < MN_MAX_REFUSALS)
				refusals.age[refusals.nr++] = mn_age(pos, range);
		} else if (refusals.nr == MN_MAX_REFUSALS &&
			   pos->ops->invalidate_range_end) {
			mn_call_end(pos, range);
		}
	}
	if (likely(!refusals.nr))
		return 0;

	while ((pos = mn_advance(registry, range, pos, MN_END)))
		if (mn_refusals_end(&refusals, mn_age(pos, range)))
			mn_call_end(pos, range);
	return -EAGAIN;
}

void mn_list_end(struct mmu_notifier_subscriptions *registry,
		 const struct mmu_notifier_range *range)
{
	struct mmu_notifier *pos = NULL;

	while ((pos = mn_advance(registry, range, pos, MN_END)))
		mn_call_end(pos, range);
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

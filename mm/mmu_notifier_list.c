// SPDX-License-Identifier: GPL-2.0-only
/*
 * MMU notifiers for a whole mm: the life of struct mmu_notifier. For the
 * algorithm and the barriers see mm/mmu_notifier.c.
 */

#include <linux/err.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/percpu.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

#include "mmu_notifier_internal.h"

static struct workqueue_struct *mn_free_wq;

static int __init mn_init(void)
{
	/* Unbound: one free_notifier that waits must not delay another */
	mn_free_wq = alloc_workqueue("mmu_notifier", WQ_UNBOUND, 0);
	if (!mn_free_wq)
		panic("mmu_notifier: no workqueue");
	return 0;
}
early_initcall(mn_init);

/*
 * References of callbacks
 */

/*
 * In a callback of @subscription, which cannot end while it waits for itself?
 * Without lockdep only ->release is known: it runs as long as the subscription
 * is linked, and the task cannot go before.
 */
static bool mn_waits_for_itself(struct mmu_notifier *subscription)
{
	return mn_in_own_callback(&subscription->callback_map) ||
	       (READ_ONCE(subscription->releaser) == current &&
		mn_linked(subscription));
}

/* Unlinked, and a grace period ago: wait for the callbacks still running */
static void mn_ref_drain(struct mmu_notifier *subscription)
{
	mn_drain(subscription->refs, &subscription->refs_left);
	free_percpu(subscription->refs);
}

static void mn_unlink(struct mmu_notifier_subscriptions *registry,
		      struct mmu_notifier *subscription)
{
	lockdep_assert_held(&registry->lock);

	if (hlist_unhashed(&subscription->hlist))
		return;
	hlist_del_init_rcu(&subscription->hlist);	/* Barrier D */
	wake_up_var_locked(&subscription->hlist, &registry->lock);
	mn_subscription_gone(registry, subscription->mm);
}

/*
 * Registration
 */

/* The object may hold anything, which the list has the last word on */
static __no_kmsan_checks bool
mn_is_registered(struct mmu_notifier_subscriptions *registry,
		 struct mmu_notifier *subscription, struct mm_struct *mm)
{
	struct mmu_notifier *pos;
	bool ret = false;

	if (subscription->mm != mm || hlist_unhashed(&subscription->hlist))
		return false;

	spin_lock(&registry->lock);
	hlist_for_each_entry(pos, &registry->list, hlist)
		if (pos == subscription)
			ret = true;
	spin_unlock(&registry->lock);
	return ret;
}

static bool mn_ops_valid(const struct mmu_notifier_ops *ops)
{
	/* A subscriber follows the secondary TLB or the ranges, not both */
	return !ops->arch_invalidate_secondary_tlbs ||
	       !(ops->invalidate_range_start || ops->invalidate_range_end);
}

static int mn_register(struct mmu_notifier_subscriptions *registry,
		       struct mmu_notifier *subscription, struct mm_struct *mm)
{
	static struct lock_class_key callback_key;

	lockdep_assert_held(&registry->mutex);

	if (WARN_ON_ONCE(mn_is_registered(registry, subscription, mm)))
		return -EEXIST;

	/* Not registered, whatever is done with it after an error */
	subscription->users = 0;
	subscription->mm = NULL;
	INIT_HLIST_NODE(&subscription->hlist);
	lockdep_init_map(&subscription->callback_map, "mmu_notifier_callback",
			 &callback_key, 0);
	if (WARN_ON_ONCE(!mn_ops_valid(subscription->ops)) ||
	    WARN_ON_ONCE(atomic_read(&mm->mm_users) <= 0))
		return -EINVAL;
	subscription->refs = mn_alloc_percpu(long);
	if (!subscription->refs)
		return -ENOMEM;
	atomic_long_set(&subscription->refs_left, 0);
	subscription->users = 1;
	subscription->releaser = NULL;

	/* Dropped by mmu_notifier_unregister() or mn_free_work() */
	mmgrab(mm);
	subscription->mm = mm;
	mn_activate(registry, mm, subscription);
	return 0;
}

/**
 * mmu_notifier_register - Subscribe to the invalidations of an mm
 * @subscription: with its ops set
 * @mm: the address space
 *
 * On return every later section of @mm is announced to @subscription, and none
 * is in flight that was not. Waits for the sections in flight in @mm, not for
 * signals, and costs the same whatever the number of VMAs.
 *
 * @mm must have a user for as long as this runs. Its struct is pinned until
 * mmu_notifier_unregister() or mmu_notifier_put(), one of which has to follow;
 * mmget_not_zero() on @subscription->mm is safe until then.
 *
 * __mmu_notifier_register() is for callers that hold mmap_lock for write.
 *
 * Context: Process context. Sleeps. The caller may hold mmap_lock, but no lock
 * that callbacks or direct reclaim take.
 * Return: 0, or -ENOMEM; -EINVAL or -EEXIST if the call is a bug.
 */
int mmu_notifier_register(struct mmu_notifier *subscription,
			  struct mm_struct *mm)
{
	struct mmu_notifier_subscriptions *registry = mn_registry_get(mm);
	int ret;

	if (!registry) {
		subscription->users = 0;
		subscription->mm = NULL;
		return -ENOMEM;
	}
	mutex_lock(&registry->mutex);
	ret = mn_register(registry, subscription, mm);
	mutex_unlock(&registry->mutex);
	return ret;
}
EXPORT_SYMBOL_GPL(mmu_notifier_register);

static struct mmu_notifier *
mn_find_get(struct mmu_notifier_subscriptions *registry,
	    const struct mmu_notifier_ops *ops)
{
	struct mmu_notifier *pos, *found = NULL;

	spin_lock(&registry->lock);
	hlist_for_each_entry(pos, &registry->list, hlist) {
		/* Without users it is about to be unregistered */
		if (pos->ops != ops || !pos->users)
			continue;
		if (pos->users == UINT_MAX) {
			found = ERR_PTR(-EOVERFLOW);
		} else {
			WRITE_ONCE(pos->users, pos->users + 1);
			found = pos;
		}
		break;
	}
	spin_unlock(&registry->lock);
	return found;
}

static struct mmu_notifier *
mn_get_or_register(struct mmu_notifier_subscriptions *registry,
		   const struct mmu_notifier_ops *ops, struct mm_struct *mm)
{
	struct mmu_notifier *subscription;
	int ret;

	lockdep_assert_held(&registry->mutex);

	subscription = mn_find_get(registry, ops);
	if (subscription)
		return subscription;

	subscription = ops->alloc_notifier(mm);
	if (IS_ERR(subscription))
		return subscription;
	subscription->ops = ops;
	ret = mn_register(registry, subscription, mm);
	if (ret) {
		ops->free_notifier(subscription);
		return ERR_PTR(ret);
	}
	return subscription;
}

/**
 * mmu_notifier_get - Get the subscription of a driver to an mm
 * @ops: says which driver it is
 * @mm: the address space
 *
 * The first user has the subscription allocated by ->alloc_notifier() and
 * registered, see mmu_notifier_register(). It stays, and with it the pin on the
 * struct of @mm, until each user has called mmu_notifier_put().
 *
 * mmu_notifier_get_locked() is for callers that hold mmap_lock for write.
 *
 * Context: Process context. Sleeps, with the same restrictions as
 * mmu_notifier_register().
 * Return: the subscription, or an ERR_PTR() of ->alloc_notifier(), of
 * mmu_notifier_register(), or -EOVERFLOW.
 */
struct mmu_notifier *mmu_notifier_get(const struct mmu_notifier_ops *ops,
				      struct mm_struct *mm)
{
	struct mmu_notifier_subscriptions *registry = mn_registry_get(mm);
	struct mmu_notifier *subscription;

	if (!registry)
		return ERR_PTR(-ENOMEM);
	mutex_lock(&registry->mutex);
	subscription = mn_get_or_register(registry, ops, mm);
	mutex_unlock(&registry->mutex);
	return subscription;
}
EXPORT_SYMBOL_GPL(mmu_notifier_get);

/*
 * The end
 */

/*
 * Call ->release, once in the life of a subscription: by the first of exit and
 * unregister, which unlinks it then. The other one waits for that. Between the
 * two, sections still find the subscription.
 */
static void mn_release(struct mmu_notifier_subscriptions *registry,
		       struct mmu_notifier *subscription)
{
	if (subscription->releaser) {
		wait_var_event_spinlock(&subscription->hlist,
					hlist_unhashed(&subscription->hlist),
					&registry->lock);
		return;
	}
	WRITE_ONCE(subscription->releaser, current);
	spin_unlock(&registry->lock);
	mn_callback_enter(&subscription->callback_map);
	if (subscription->ops->release)
		subscription->ops->release(subscription, subscription->mm);
	mn_callback_leave(&subscription->callback_map);
	spin_lock(&registry->lock);
	mn_unlink(registry, subscription);
}

/*
 * Called by exit_mmap() before any page is freed, when mm_users is zero: there
 * are no registrations. Others may still invalidate, through the reverse maps.
 *
 * The intervals come first, as whole-mm release may wait for work that waits
 * in mmu_interval_read_begin(). They stay, and hear of the unmapping.
 */
void __mmu_notifier_release(struct mm_struct *mm)
{
	struct mmu_notifier_subscriptions *registry = mn_registry(mm);
	struct mmu_notifier *pos;

	/* Acquire: ->shards has been set before */
	if (smp_load_acquire(&registry->intervals) != MN_INTERVALS_OFF)
		mn_interval_release(registry, mm);

	spin_lock(&registry->lock);
	while (!hlist_empty(&registry->list)) {
		pos = hlist_entry(registry->list.first, struct mmu_notifier,
				  hlist);
		/* For unregister and put to wait for us */
		mn_ref_get(pos);
		mn_release(registry, pos);
		rcu_read_lock();
		mn_ref_put(pos, mn_linked(pos));
		rcu_read_unlock();
	}
	spin_unlock(&registry->lock);
}

/**
 * mmu_notifier_unregister - Unsubscribe from an mm
 * @subscription: registered by mmu_notifier_register()
 * @mm: the address space
 *
 * Calls ->release unless exit has, never ->free_notifier, and waits for callbacks
 * of @subscription, for nobody else's. On return none runs or will run, the
 * struct of @mm is not pinned any more, and @subscription may be freed; its
 * ->mm can still be read.
 *
 * Context: Process context. Sleeps. Not from a callback of @subscription, and
 * without any lock that these callbacks take.
 */
void mmu_notifier_unregister(struct mmu_notifier *subscription,
			     struct mm_struct *mm)
{
	struct mmu_notifier_subscriptions *registry;
	unsigned int users;

	might_sleep();
	/* Without users it no longer pins the mm, which may be gone */
	if (WARN_ON_ONCE(!READ_ONCE(subscription->users)) ||
	    WARN_ON_ONCE(subscription->mm != mm) ||
	    WARN_ON_ONCE(mn_waits_for_itself(subscription)))
		return;

	mn_might_wait_for_callbacks();

	registry = mn_registry(mm);
	spin_lock(&registry->lock);
	users = subscription->users;
	WRITE_ONCE(subscription->users, 0);
	if (users)
		mn_release(registry, subscription);
	spin_unlock(&registry->lock);
	if (WARN_ON_ONCE(!users))
		return;

	synchronize_rcu_expedited();	/* Barrier D */
	mn_ref_drain(subscription);
	mmdrop(mm);
}
EXPORT_SYMBOL_GPL(mmu_notifier_unregister);

/* At least one grace period after mn_unlink(), barrier D */
static void mn_free_work(struct work_struct *work)
{
	struct mmu_notifier *subscription =
		container_of(to_rcu_work(work), struct mmu_notifier, free_work);
	struct mm_struct *mm = subscription->mm;

	mn_ref_drain(subscription);
	subscription->ops->free_notifier(subscription);
	mmdrop(mm);
}

/**
 * mmu_notifier_put - Drop a subscription from mmu_notifier_get()
 * @subscription: also one from mmu_notifier_register(), which has one user
 *
 * With its last user it is gone for mmu_notifier_get() at once. When all its
 * callbacks have returned, ->free_notifier() is called from a workqueue. Code
 * that may go away has to wait for that by mmu_notifier_synchronize().
 *
 * ->release is called only if the mm exits first. So the last user has no
 * secondary ptes left and creates none. May be called from ->release.
 *
 * Context: Any but hard and soft interrupt. Does not sleep.
 */
void mmu_notifier_put(struct mmu_notifier *subscription)
{
	struct mmu_notifier_subscriptions *registry;
	unsigned int users;

	/* Without users it no longer pins the mm, which may be gone */
	if (WARN_ON_ONCE(!READ_ONCE(subscription->users)))
		return;

	registry = mn_registry(subscription->mm);
	spin_lock(&registry->lock);
	users = subscription->users;
	if (users)
		WRITE_ONCE(subscription->users, users - 1);
	if (users == 1)
		mn_unlink(registry, subscription);
	spin_unlock(&registry->lock);

	if (!WARN_ON_ONCE(!users) && users == 1) {
		INIT_RCU_WORK(&subscription->free_work, mn_free_work);
		queue_rcu_work(mn_free_wq, &subscription->free_work);
	}
}
EXPORT_SYMBOL_GPL(mmu_notifier_put);

/**
 * mmu_notifier_synchronize - Wait for ->free_notifier()
 *
 * For every subscription, to any mm, that has been put for the last time before.
 * To be called at the exit of a module that uses mmu_notifier_put().
 *
 * Context: Process context. Sleeps. Without any lock that callbacks or
 * ->free_notifier() take.
 */
void mmu_notifier_synchronize(void)
{
	/* What is still in queue_rcu_work(), then what it queued */
	rcu_barrier();
	flush_workqueue(mn_free_wq);
}
EXPORT_SYMBOL_GPL(mmu_notifier_synchronize);

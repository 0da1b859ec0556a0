// SPDX-License-Identifier: GPL-2.0-only
/*
 * MMU notifiers: who hears of which invalidation, and who waits for whom.
 *
 * A section is one invalidate_range_start()..invalidate_range_end() pair that a
 * task runs on an mm. A subscription is a whole-mm struct mmu_notifier or a
 * struct mmu_interval_notifier. The registry of an mm is created by its first
 * subscription. Sections are frequent and must be cheap, above all where nobody
 * subscribed. Registrations are rare and may wait. The hard part is
 * to register while sections are in flight, taking none of the locks they hold.
 *
 *
 * Sections without a registry
 *
 * They are SRCU-fast readers, from start to end, of one of a few domains chosen
 * by a hash of the mm. A registration makes the registry visible and waits for
 * the domain (barrier C). From then on no section is left that did not see it.
 * A section that sees it at once does without the domain.
 * (Andrea Arcangeli proposed SRCU in place of all reverse-map locks in 2019.)
 *
 * These sections run no callbacks, so the wait is short, as a rule. They may
 * however sleep: on locks of the reverse map, behind a task that is in a
 * callback of another mm, or for memory, if they allocate page tables. So there
 * are several domains, and whoever waits holds no lock but the registry's mutex,
 * unless its caller does.
 *
 * When the last subscription goes, the registry stays but loses its LIVE mark,
 * and sections use the domain again. The next registration sets the mark and
 * waits for the domain as the first one did.
 *
 *
 * Sections with a registry
 *
 * The registry has a generation. A section starts with the current one as its
 * epoch and is counted, per CPU, in the slot of the epoch's low bit. A
 * registration takes the next generation as the epoch of the subscription,
 * adds it to the list, advances the generation (barrier A), and waits until the
 * old slot is empty (barrier B). The next registration of the mm starts after
 * that, so two slots are enough.
 *
 * So while a section is in flight at most one registration advances the
 * generation: it is the one that the section may have missed, and the only one
 * whose callbacks are not due to it. Neither epoch changes, and both ends of a
 * section ask the same question: this is why end follows start, and comes to no
 * one else. It makes the age of a subscription, seen from a section, a number
 * that survives the wrap of the generation.
 *
 *
 * Counters
 *
 * Sections in a slot and callbacks running for a subscription are counted
 * alike. The count is incremented and, as long as nobody waits for it,
 * decremented on the local CPU, inside an RCU reader that also looks for
 * permission: for a section, that its epoch is the current generation; for a
 * callback, that the subscription is in the list. Who wants to wait revokes
 * the permission and lets an expedited RCU grace period pass. Then nobody is
 * left who acts upon the permission: no increment can follow, and decrements
 * go to an atomic_long_t. That is started at zero, may go below, is raised by
 * the sum over the CPUs and shows the end by reaching zero, once.
 *
 * This is how a percpu_ref dies. It is not one, because percpu_ref_kill() waits
 * in call_rcu(), several times as long as unregistration may take.
 *
 *
 * Callbacks
 *
 * Those that may sleep run outside of the RCU reader that found them and hold a
 * reference on their subscription, nothing else. So a callback that does not
 * return holds up its own subscription and the end of its section. The others
 * (young bits, secondary TLBs) run inside the RCU reader.
 *
 * unregister unlinks, waits for a grace period (barrier D), then for the
 * references. put does the same from a workqueue.
 *
 * ->release is called by whoever sets ->releaser first. It leaves the
 * subscription in the list meanwhile, so that sections still find it, and
 * unlinks it then. The other one, exit or unregister, waits for that.
 *
 *
 * Barriers
 *
 * A  registry->gen: store-release by registration, load-acquire by start.
 *    A section of epoch N sees all that registration N put into the registry:
 *    its subscription or the state of the intervals.
 *
 * B  RCU: the readers in which sections are counted, and the grace period in
 *    mn_drain_sections(). Either a reader sees the new generation, or
 *    all of it and all before it is visible after the grace period.
 *
 * C  SRCU-fast: a section enters the domain, then looks for the LIVE mark. A
 *    registration sets the mark, then waits for the domain.
 *
 *    Callbacks that may not sleep look for the mark without a domain. It is the
 *    RCU grace period in one of SRCU-fast that orders them.
 *
 * D  RCU: walks of the list, mn_advance(), and the grace period that follows
 *    hlist_del_init_rcu(). As B, with the link for the generation.
 *
 * E  ->invalidate_seq and F ->active: see mm/mmu_notifier_interval.c.
 *
 * The atomic counts order by themselves: the decrement is a full barrier, the
 * waiter reads zero with acquire or by its own atomic operation.
 *
 *
 * Locking
 *
 *	mmap_lock		not taken; the caller of a registration may hold it
 *	  registry->mutex	registrations of one mm
 *	    registry->lock	list, tree, states; not taken by sections
 *	      shard->lock	sections of the shard; all of them: the tree
 *
 * No callback is called under a spinlock. Registration waits for sections under
 * its mutex, which is safe as no section takes it. Nor may a section take
 * mmap_lock: the caller of a registration may hold it, and callbacks run under
 * it anyway. A section nested in reclaim is no exception, as registration
 * allocates memory itself and so must be allowed to wait for any callback.
 */

#include <linux/mmu_notifier.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/srcu.h>

#include "mmu_notifier_internal.h"

#ifdef CONFIG_LOCKDEP
struct lockdep_map __mmu_notifier_invalidate_range_start_map = {
	.name = "mmu_notifier_invalidate_range_start"
};
#endif

/*
 * A section that sleeps in an unlucky place delays the first registration in
 * one of sixteen mms. More domains would help less than they cost: each takes
 * a struct srcu_data, below half a KiB, per possible CPU.
 */
DEFINE_STATIC_SRCU_FAST(mn_domain_0);
DEFINE_STATIC_SRCU_FAST(mn_domain_1);
DEFINE_STATIC_SRCU_FAST(mn_domain_2);
DEFINE_STATIC_SRCU_FAST(mn_domain_3);
DEFINE_STATIC_SRCU_FAST(mn_domain_4);
DEFINE_STATIC_SRCU_FAST(mn_domain_5);
DEFINE_STATIC_SRCU_FAST(mn_domain_6);
DEFINE_STATIC_SRCU_FAST(mn_domain_7);
DEFINE_STATIC_SRCU_FAST(mn_domain_8);
DEFINE_STATIC_SRCU_FAST(mn_domain_9);
DEFINE_STATIC_SRCU_FAST(mn_domain_10);
DEFINE_STATIC_SRCU_FAST(mn_domain_11);
DEFINE_STATIC_SRCU_FAST(mn_domain_12);
DEFINE_STATIC_SRCU_FAST(mn_domain_13);
DEFINE_STATIC_SRCU_FAST(mn_domain_14);
DEFINE_STATIC_SRCU_FAST(mn_domain_15);

struct srcu_struct *const
mmu_notifier_domains[1 << MMU_NOTIFIER_DOMAIN_BITS] = {
	&mn_domain_0, &mn_domain_1, &mn_domain_2, &mn_domain_3,
	&mn_domain_4, &mn_domain_5, &mn_domain_6, &mn_domain_7,
	&mn_domain_8, &mn_domain_9, &mn_domain_10, &mn_domain_11,
	&mn_domain_12, &mn_domain_13, &mn_domain_14, &mn_domain_15,
};

/* Few registrations before the generation wraps, to have that tested */
#define MN_FIRST_GEN	(-4UL)

/*
 * Registration
 */

static struct mmu_notifier_subscriptions *mn_registry_alloc(void)
{
	struct mmu_notifier_subscriptions *registry = kzalloc_obj(*registry);

	if (!registry)
		return NULL;
	registry->sections = mn_alloc_percpu(struct mn_sections);
	if (!registry->sections) {
		kfree(registry);
		return NULL;
	}
	registry->gen = MN_FIRST_GEN;
	INIT_HLIST_HEAD(&registry->list);
	registry->tree = RB_ROOT_CACHED;
	mutex_init(&registry->mutex);
	spin_lock_init(&registry->lock);
	atomic_long_set(&registry->seq, 1);
	return registry;
}

static void mn_registry_free(struct mmu_notifier_subscriptions *registry)
{
	free_percpu(registry->sections);
	kfree(registry->shards);
	kfree(registry);
}

/* The registry of @mm, a new one if need be, which is not live yet */
struct mmu_notifier_subscriptions *mn_registry_get(struct mm_struct *mm)
{
	struct mmu_notifier_subscriptions *registry = mn_registry(mm);

	if (registry)
		return registry;
	registry = mn_registry_alloc();
	if (!registry)
		return NULL;
	/* A full barrier: who finds it finds it initialized */
	if (cmpxchg(&mm->notifier_subscriptions, NULL, registry)) {
		mn_registry_free(registry);
		registry = mn_registry(mm);
	}
	return registry;
}

/*
 * Wait until nothing is left of what was counted in @count, and empty it. The
 * permission to count there was revoked a grace period ago.
 */
void mn_drain(long __percpu *count, atomic_long_t *left)
{
	long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		sum += *per_cpu_ptr(count, cpu);
		*per_cpu_ptr(count, cpu) = 0;
	}
	if (atomic_long_add_return(sum, left))
		wait_var_event(left, !atomic_long_read_acquire(left));
}

/* Wait for the sections of @epoch, the generation before the current one */
static void mn_drain_sections(struct mmu_notifier_subscriptions *registry,
			      unsigned long epoch)
{
	synchronize_rcu_expedited();	/* Barrier B */
	mn_drain(mn_slot(registry, epoch), &registry->left);
}

/*
 * Make @subscription, or the intervals if it is %NULL, known to all sections
 * that start from now on, and wait for all those to which it is not known.
 */
void mn_activate(struct mmu_notifier_subscriptions *registry,
		 struct mm_struct *mm, struct mmu_notifier *subscription)
{
	unsigned long epoch;
	bool first, used;

	lockdep_assert_held(&registry->mutex);
	mn_might_wait_for_callbacks();

	spin_lock(&registry->lock);
	epoch = registry->gen + 1;
	if (subscription) {
		subscription->epoch = epoch;
		hlist_add_head_rcu(&subscription->hlist, &registry->list);
	} else {
		/* Release: ->shards before ->intervals */
		smp_store_release(&registry->intervals, MN_INTERVALS_ARMING);
	}
	first = !registry->nr++;
	used = registry->used;
	registry->used = true;
	smp_store_release(&registry->gen, epoch);	/* Barrier A */
	if (first)	/* Barrier C */
		smp_store_release(&mm->notifier_subscriptions,
				  (void *)registry + MMU_NOTIFIER_LIVE);
	spin_unlock(&registry->lock);

	if (first)	/* Barrier C */
		synchronize_srcu_expedited(mmu_notifier_domain(mm));
	if (used)
		mn_drain_sections(registry, epoch - 1);
}

/* One of registry->nr has gone. With the last one sections use the domain. */
void mn_subscription_gone(struct mmu_notifier_subscriptions *registry,
			  struct mm_struct *mm)
{
	lockdep_assert_held(&registry->lock);

	if (--registry->nr)
		return;
	WRITE_ONCE(registry->intervals, MN_INTERVALS_OFF);
	/* Release: who still found it live goes by the current generation */
	smp_store_release(&mm->notifier_subscriptions, registry);
}

/* By __mmdrop(), which may not sleep. Each subscription pins the mm. */
void __mmu_notifier_subscriptions_destroy(struct mm_struct *mm)
{
	struct mmu_notifier_subscriptions *registry = mn_registry(mm);

	mm->notifier_subscriptions = NULL;
	if (!WARN_ON_ONCE(registry->nr))
		mn_registry_free(registry);
}

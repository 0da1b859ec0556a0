// SPDX-License-Identifier: GPL-2.0-only
/*
 * MMU interval notifiers: a collision-retry lock per range of addresses.
 *
 * A reader (a driver that copies ptes into its device) must learn of every
 * section that overlaps its interval, and of no other. Intervals are in a tree.
 * Each counts in ->active the sections that overlap it. A reader waits for zero
 * and then relies on ->invalidate_seq, which the callbacks change.
 *
 *
 * The tree and the sections in flight
 *
 * Sections look into the tree twice, and CPUs that invalidate disjoint ranges
 * must not meet there. So the tree is protected by a lock that is cut up into
 * shards, one cache line each: a section takes the shard of the CPU on which it
 * starts, a writer takes all of them. The ranges of the sections in flight are
 * kept in a list in their shard.
 *
 *  start	under its shard's lock: joins the list and raises ->active of
 *		all intervals that overlap it
 *  end		under the same lock: leaves the list and lowers ->active of all
 *		intervals that overlap it
 *  insert	under all locks: adds it to the tree and sets ->active to the
 *		number of sections in the lists that overlap it
 *  remove	under all locks: takes it from the tree, sets ->active to zero
 *
 * Hence an invariant that every critical section preserves: ->active of an
 * interval in the tree is the number of ranges in the lists that overlap it.
 * Nothing is deferred. Another one spares the end its search: ->first_hit of a
 * range in a list is the first interval in the tree that overlaps it. Start sets
 * it, insert and remove keep it true.
 *
 *
 * Callbacks
 *
 * They hold a reference on their interval, taken under the lock of a shard. An
 * interval with references stays in the tree, so that the walk can go on from
 * it. Removal marks it dying, which forbids new references, waits for the
 * references, and only then takes it from the tree: sections still raise and
 * lower its ->active. For the second pass of a two-pass callback another
 * reference is held.
 *
 * An interval that is inserted while a section is in flight may or may not be
 * called by the section. ->active is right in either case.
 *
 *
 * Barriers
 *
 * E  ->invalidate_seq: store-release in mmu_interval_set_seq(), load-acquire in
 *    mmu_interval_read_begin(), which looks at ->active afterwards. If the
 *    reader takes the sequence number of a section for its own then it also
 *    sees that the section is active, and waits. If it takes an older one then
 *    mmu_interval_read_retry() sees the difference, under the driver's lock.
 *
 * F  ->active: the decrement is a full barrier, the reader reads with acquire.
 *    Who does not wait for a section sees all that the section did.
 */

#include <linux/export.h>
#include <linux/interval_tree.h>
#include <linux/llist.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>

#include "mmu_notifier_internal.h"

static struct mmu_interval_notifier *mn_interval(struct interval_tree_node *node)
{
	if (!node)
		return NULL;
	return container_of(node, struct mmu_interval_notifier, interval_tree);
}

static struct mmu_interval_notifier *
mn_interval_first(struct mmu_notifier_subscriptions *registry,
		  const struct mmu_notifier_range *range)
{
	return mn_interval(interval_tree_iter_first(&registry->tree,
						    range->start,
						    range->end - 1));
}

static struct mmu_interval_notifier *
mn_interval_next(struct mmu_interval_notifier *interval_sub,
		 const struct mmu_notifier_range *range)
{
	return mn_interval(interval_tree_iter_next(&interval_sub->interval_tree,
						   range->start,
						   range->end - 1));
}

/* The same test as that of the tree */
static bool mn_overlaps(const struct mmu_interval_notifier *interval_sub,
			const struct mmu_notifier_range *range)
{
	return range->start <= interval_sub->interval_tree.last &&
	       range->end - 1 >= interval_sub->interval_tree.start;
}

static void mn_lock_shards(struct mmu_notifier_subscriptions *registry)
{
	unsigned int i;

	spin_lock(&registry->lock);
	for (i = 0; i <= registry->shard_mask; i++)
		spin_lock_nest_lock(&registry->shards[i].lock, &registry->lock);
}

static void mn_unlock_shards(struct mmu_notifier_subscriptions *registry)
{
	unsigned int i;

	for (i = 0; i <= registry->shard_mask; i++)
		spin_unlock(&registry->shards[i].lock);
	spin_unlock(&registry->lock);
}

/*
 * References
 */

static bool mn_interval_get(struct mmu_interval_notifier *interval_sub)
{
	if (interval_sub->dying)
		return false;
	atomic_inc(&interval_sub->refs);
	return true;
}

/* The interval may be gone right after its count went down */
static void mn_interval_put(struct mmu_interval_notifier *interval_sub)
{
	atomic_dec_and_wake_up(&interval_sub->refs);
}

/*
 * Sections
 */

/* Unique, odd, and none of the values that drivers use to say "invalid" */
static unsigned long mn_next_seq(struct mmu_notifier_subscriptions *registry)
{
	unsigned long seq;

	do {
		seq = atomic_long_add_return(2, &registry->seq);
	} while (seq == LONG_MAX || seq == ULONG_MAX);
	return seq;
}

/* Take a reference on the next interval to call, drop that on @prev */
static struct mmu_interval_notifier *
mn_interval_advance(struct mmu_interval_notifier *prev,
		    const struct mmu_notifier_range *range)
{
	struct mmu_interval_notifier *pos = prev;

	spin_lock(&range->shard->lock);
	do {
		pos = mn_interval_next(pos, range);
	} while (pos && !mn_interval_get(pos));
	mn_interval_put(prev);
	spin_unlock(&range->shard->lock);
	return pos;
}

/*
 * Join the shard, return the first interval to call with a reference, and
 * whether there may be more
 */
static struct mmu_interval_notifier *
mn_interval_join(struct mmu_notifier_subscriptions *registry,
		 struct mmu_notifier_range *range, bool *more)
{
	struct mmu_interval_notifier *pos, *first = NULL;
	struct mmu_notifier_shard *shard;

	shard = registry->shards +
		(raw_smp_processor_id() & registry->shard_mask);
	range->shard = shard;
	*more = false;

	spin_lock(&shard->lock);
	hlist_add_head(&range->shard_node, &shard->ranges);
	range->first_hit = mn_interval_first(registry, range);
	for (pos = range->first_hit; pos; pos = mn_interval_next(pos, range)) {
		atomic_inc(&pos->active);
		if (first)
			*more = true;
		else if (mn_interval_get(pos))
			first = pos;
	}
	spin_unlock(&shard->lock);
	return first;
}

static bool mn_interval_call(struct mmu_interval_notifier *interval_sub,
			     const struct mmu_notifier_range *range,
			     unsigned long seq, struct llist_head *finishes)
{
	const struct mmu_interval_notifier_ops *ops = interval_sub->ops;
	struct mmu_interval_notifier_finish *finish = NULL;
	bool ret;

	mn_callback_enter(&interval_sub->callback_map);
	if (ops->invalidate_start)
		ret = ops->invalidate_start(interval_sub, range, seq, &finish);
	else
		ret = ops->invalidate(interval_sub, range, seq);
	mn_callback_leave(&interval_sub->callback_map);

	if (ret && finish) {
		/* Dropped by mn_interval_finish(). One is held, so it may grow */
		atomic_inc(&interval_sub->refs);
		finish->notifier = interval_sub;
		__llist_add(&finish->link, finishes);
	}
	return ret;
}

/* In the order of the starts. @finish belongs to the driver once it is called */
static void mn_interval_finish(struct llist_head *finishes)
{
	struct llist_node *first = llist_reverse_order(__llist_del_all(finishes));
	struct mmu_interval_notifier_finish *finish, *next;

	llist_for_each_entry_safe(finish, next, first, link) {
		struct mmu_interval_notifier *interval_sub = finish->notifier;

		mn_callback_enter(&interval_sub->callback_map);
		interval_sub->ops->invalidate_finish(finish);
		mn_callback_leave(&interval_sub->callback_map);
		mn_interval_put(interval_sub);
	}
}

/* Also a section that was refused has to be ended */
int mn_interval_start(struct mmu_notifier_subscriptions *registry,
		      struct mmu_notifier_range *range)
{
	struct mmu_interval_notifier *pos;
	LLIST_HEAD(finishes);
	unsigned long seq;
	int ret = 0;
	bool more;

	pos = mn_interval_join(registry, range, &more);
	if (!pos)
		return 0;

	seq = mn_next_seq(registry);
	for (; pos; pos = mn_interval_advance(pos, range)) {
		if (!mn_interval_call(pos, range, seq, &finishes) &&
		    !WARN_ON_ONCE(mmu_notifier_range_blockable(range)))
			ret = -EAGAIN;
		if (ret || !more) {
			mn_interval_put(pos);
			break;
		}
	}
	mn_interval_finish(&finishes);
	return ret;
}

void mn_interval_end(struct mmu_notifier_range *range)
{
	struct mmu_notifier_shard *shard = range->shard;
	struct mmu_interval_notifier *pos;

	spin_lock(&shard->lock);
	hlist_del(&range->shard_node);
	for (pos = range->first_hit; pos; pos = mn_interval_next(pos, range)) {
		/* Barrier F. Not only at zero, see the wait of the reader */
		atomic_dec_return(&pos->active);
		wake_up_var(&pos->active);
	}
	spin_unlock(&shard->lock);
	range->shard = NULL;
}

void mn_interval_release(struct mmu_notifier_subscriptions *registry,
			 struct mm_struct *mm)
{
	struct mmu_notifier_range range;

	mmu_notifier_range_init(&range, MMU_NOTIFY_RELEASE,
				MMU_NOTIFIER_RANGE_BLOCKABLE, mm, 0, ULONG_MAX);
	mn_interval_start(registry, &range);
	mn_interval_end(&range);
}

/*
 * Readers
 */

/**
 * mmu_interval_read_begin - Begin to read what is mapped in an interval
 * @interval_sub: the interval
 *
 * A reader is a retry loop, as with a seqcount: begin, look at the page table
 * (hmm_range_fault(), for instance), take the lock under which ->invalidate()
 * calls mmu_interval_set_seq(), and start again if mmu_interval_read_retry().
 * Otherwise create the secondary ptes, under that lock. The driver chooses the
 * lock; it may be a mutex, and the reader may sleep.
 *
 * Waits for the sections in flight that overlap the interval, and no longer than
 * until one of them collides with this reader, which has to retry then. No loop
 * here, so that the caller can limit the time.
 *
 * Context: Process context. Sleeps. Without any lock that callbacks take;
 * mmap_lock may be held.
 * Return: what to pass to mmu_interval_read_retry().
 */
unsigned long
mmu_interval_read_begin(struct mmu_interval_notifier *interval_sub)
{
	unsigned long *seqp = &interval_sub->invalidate_seq;
	unsigned long seq;

	/* Barrier E: before ->active */
	seq = smp_load_acquire(seqp);
	mn_might_wait_for_callbacks();
	/* Barrier F */
	wait_var_event(&interval_sub->active,
		       !atomic_read_acquire(&interval_sub->active) ||
		       READ_ONCE(*seqp) != seq);
	return seq;
}
EXPORT_SYMBOL_GPL(mmu_interval_read_begin);

/*
 * Insertion and removal
 */

/* The object may hold anything, which the tree has the last word on */
static __no_kmsan_checks bool
mn_interval_is_inserted(struct mmu_notifier_subscriptions *registry,
			struct mmu_interval_notifier *interval_sub,
			struct mm_struct *mm)
{
	struct interval_tree_node *node = &interval_sub->interval_tree, *pos;
	unsigned long start = node->start;

	if (interval_sub->mm != mm || RB_EMPTY_NODE(&node->rb))
		return false;

	spin_lock(&registry->lock);
	for (pos = interval_tree_iter_first(&registry->tree, start, start);
	     pos && pos != node;
	     pos = interval_tree_iter_next(pos, start, start))
		;
	spin_unlock(&registry->lock);
	return pos;
}

/* What drivers take as "not inserted" */
static void mn_interval_clear(struct mmu_interval_notifier *interval_sub)
{
	interval_sub->mm = NULL;
	interval_sub->interval_tree.start = 0;
	interval_sub->interval_tree.last = 0;
}

static int mn_interval_init(struct mmu_notifier_subscriptions *registry,
			    struct mmu_interval_notifier *interval_sub,
			    struct mm_struct *mm, unsigned long start,
			    unsigned long length,
			    const struct mmu_interval_notifier_ops *ops)
{
	static struct lock_class_key callback_key;
	unsigned long last;
	int ret = 0;

	if (length == 0 || check_add_overflow(start, length - 1, &last))
		ret = -EOVERFLOW;
	else if (WARN_ON_ONCE(atomic_read(&mm->mm_users) <= 0) ||
		 WARN_ON_ONCE(ops->invalidate_start && !ops->invalidate_finish))
		ret = -EINVAL;
	if (ret)
		return ret;

	interval_sub->mm = mm;
	interval_sub->ops = ops;
	interval_sub->interval_tree.start = start;
	interval_sub->interval_tree.last = last;
	/* Not the cur_seq of any section, nor what it was in an earlier life */
	interval_sub->invalidate_seq = mn_next_seq(registry);
	atomic_set(&interval_sub->refs, 0);
	interval_sub->dying = false;
	lockdep_init_map(&interval_sub->callback_map,
			 "mmu_interval_notifier_callback", &callback_key, 0);
	return 0;
}

/*
 * @interval_sub is now in the tree, or no longer: tell the sections in flight
 * that overlap it, which all are in a shard. Returns how many they are.
 */
static int mn_interval_changed(struct mmu_notifier_subscriptions *registry,
			       struct mmu_interval_notifier *interval_sub)
{
	struct mmu_notifier_range *range;
	unsigned int i;
	int hits = 0;

	lockdep_assert_held(&registry->lock);

	for (i = 0; i <= registry->shard_mask; i++) {
		hlist_for_each_entry(range, &registry->shards[i].ranges,
				     shard_node) {
			/* Not even a range that changes may keep what has gone */
			if (!mn_overlaps(interval_sub, range) &&
			    range->first_hit != interval_sub)
				continue;
			range->first_hit = mn_interval_first(registry, range);
			hits++;
		}
	}
	return hits;
}

/* It adopts the sections in flight */
static void mn_interval_link(struct mmu_notifier_subscriptions *registry,
			     struct mmu_interval_notifier *interval_sub)
{
	interval_tree_insert(&interval_sub->interval_tree, &registry->tree);
	atomic_set(&interval_sub->active,
		   mn_interval_changed(registry, interval_sub));
	/* Dropped by mmu_interval_notifier_remove() */
	mmgrab(interval_sub->mm);
}

/* Fails unless every section of the mm is known to be in a shard */
static bool mn_interval_try_link(struct mmu_notifier_subscriptions *registry,
				 struct mmu_interval_notifier *interval_sub)
{
	bool ret;

	if (READ_ONCE(registry->intervals) != MN_INTERVALS_ON)
		return false;

	mn_lock_shards(registry);
	ret = registry->intervals == MN_INTERVALS_ON;
	if (ret) {
		registry->nr++;
		mn_interval_link(registry, interval_sub);
	}
	mn_unlock_shards(registry);
	return ret;
}

static int mn_alloc_shards(struct mmu_notifier_subscriptions *registry)
{
	unsigned int nr = min(roundup_pow_of_two(nr_cpu_ids), MN_MAX_SHARDS);
	struct mmu_notifier_shard *shards;
	unsigned int i;

	if (registry->shards)
		return 0;

	shards = kzalloc_objs(*shards, nr);
	if (!shards)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		spin_lock_init(&shards[i].lock);
		INIT_HLIST_HEAD(&shards[i].ranges);
	}
	registry->shard_mask = nr - 1;
	registry->shards = shards;
	return 0;
}

/* The first interval of the mm, or another that met it on its way */
static int mn_interval_link_first(struct mmu_notifier_subscriptions *registry,
				  struct mmu_interval_notifier *interval_sub)
{
	lockdep_assert_held(&registry->mutex);

	if (mn_interval_try_link(registry, interval_sub))
		return 0;
	if (mn_alloc_shards(registry))
		return -ENOMEM;

	/* Counts as a subscription from here on */
	mn_activate(registry, interval_sub->mm, NULL);

	mn_lock_shards(registry);
	/* Who sees it has seen ARMING or an epoch that comes after ->shards */
	WRITE_ONCE(registry->intervals, MN_INTERVALS_ON);
	mn_interval_link(registry, interval_sub);
	mn_unlock_shards(registry);
	return 0;
}

static int mn_interval_insert(struct mmu_notifier_subscriptions *registry,
			      struct mmu_interval_notifier *interval_sub)
{
	int ret;

	if (mn_interval_try_link(registry, interval_sub))
		return 0;
	mutex_lock(&registry->mutex);
	ret = mn_interval_link_first(registry, interval_sub);
	mutex_unlock(&registry->mutex);
	return ret;
}

/**
 * mmu_interval_notifier_insert - Subscribe to the invalidations of a range
 * @interval_sub: the subscription
 * @mm: the address space
 * @start: first byte of the range
 * @length: of the range, in bytes
 * @ops: callbacks
 *
 * Sections that start from now on and overlap the range are announced. Others
 * may be in flight: only a reader, see mmu_interval_read_begin(), may create
 * secondary ptes.
 *
 * The first interval of an mm waits as mmu_notifier_register() does, so does
 * one that comes after the last has gone. Others wait for nothing. @mm must
 * have a user for as long as this runs; its struct is pinned until
 * mmu_interval_notifier_remove().
 *
 * mmu_interval_notifier_insert_locked() is for callers that hold mmap_lock for
 * write.
 *
 * Context: Process context. Sleeps, with the same restrictions as
 * mmu_notifier_register().
 * Return: 0, -ENOMEM, or -EOVERFLOW for an empty or wrapping range; -EINVAL or
 * -EEXIST if the call is a bug. On failure other than the last
 * @interval_sub->mm is %NULL and both ends of the interval are zero.
 */
int mmu_interval_notifier_insert(struct mmu_interval_notifier *interval_sub,
				 struct mm_struct *mm, unsigned long start,
				 unsigned long length,
				 const struct mmu_interval_notifier_ops *ops)
{
	struct mmu_notifier_subscriptions *registry = mn_registry_get(mm);
	int ret = -ENOMEM;

	if (registry) {
		if (WARN_ON_ONCE(mn_interval_is_inserted(registry, interval_sub,
							 mm)))
			return -EEXIST;
		ret = mn_interval_init(registry, interval_sub, mm, start,
				       length, ops);
		if (!ret)
			ret = mn_interval_insert(registry, interval_sub);
	}
	if (ret)
		mn_interval_clear(interval_sub);
	return ret;
}
EXPORT_SYMBOL_GPL(mmu_interval_notifier_insert);

/**
 * mmu_interval_notifier_remove - Unsubscribe from a range
 * @interval_sub: the subscription
 *
 * Waits for callbacks of @interval_sub, for nobody else's. On return none runs
 * or will run, the struct of the mm is not pinned any more, and the memory may
 * be freed.
 *
 * Context: Process context. Sleeps. Not from a callback of @interval_sub, and
 * without any lock that these callbacks take; mmap_lock may be held.
 */
void mmu_interval_notifier_remove(struct mmu_interval_notifier *interval_sub)
{
	struct mm_struct *mm = interval_sub->mm;
	struct mmu_notifier_subscriptions *registry;

	might_sleep();
	/* The mm is pinned only while the interval is in the tree */
	if (WARN_ON_ONCE(!mm) ||
	    WARN_ON_ONCE(RB_EMPTY_NODE(&interval_sub->interval_tree.rb)) ||
	    WARN_ON_ONCE(mn_in_own_callback(&interval_sub->callback_map)))
		return;

	mn_might_wait_for_callbacks();

	registry = mn_registry(mm);
	mn_lock_shards(registry);
	if (WARN_ON_ONCE(interval_sub->dying)) {
		mn_unlock_shards(registry);
		return;
	}
	interval_sub->dying = true;
	mn_unlock_shards(registry);

	wait_var_event(&interval_sub->refs,
		       !atomic_read_acquire(&interval_sub->refs));

	mn_lock_shards(registry);
	interval_tree_remove(&interval_sub->interval_tree, &registry->tree);
	RB_CLEAR_NODE(&interval_sub->interval_tree.rb);
	mn_interval_changed(registry, interval_sub);
	/* No section will lower it now: let readers go that come too late */
	atomic_set(&interval_sub->active, 0);
	smp_mb();	/* As after a decrement, barrier F */
	wake_up_var(&interval_sub->active);
	mn_subscription_gone(registry, mm);
	mn_unlock_shards(registry);
	mmdrop(mm);
}
EXPORT_SYMBOL_GPL(mmu_interval_notifier_remove);

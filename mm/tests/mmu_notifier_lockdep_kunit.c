// SPDX-License-Identifier: GPL-2.0
/*
 * What lockdep is told, so that it sees a driver that takes a lock in its
 * callbacks and also waits for callbacks with that lock held. Numbers in
 * brackets are contracts, see mmu_notifier_kunit.h.
 */
#include <linux/debug_locks.h>
#include <linux/lockdep.h>
#include <linux/mm.h>

#include "mmu_notifier_kunit.h"

/*
 * Has the map of callbacks ever been taken with this mutex held, and nothing
 * else in between? Each case has a mutex of its own, which is a class.
 */
static bool callbacks_follow(struct mutex *mutex)
{
	const struct lock_class *map =
		__mmu_notifier_invalidate_range_start_map.class_cache[0];
	const struct lock_class *class = mutex->dep_map.class_cache[0];
	const struct lock_list *next;

	guard(rcu)();
	list_for_each_entry_rcu(next, &class->locks_after, entry) {
		if (next->class == map)
			return true;
	}
	return false;
}

/* [25] */
static void start_under_lock_depends_on_callbacks(struct kunit *test)
{
	static DEFINE_MUTEX(mutex);
	struct mnk_ctx *ctx = test->priv;
	struct mmu_notifier_range range;

	mnk_sub_on(ctx, ctx->mm);
	mutex_lock(&mutex);
	mnk_start(&range, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	mutex_unlock(&mutex);
	mnk_end(&range);
	KUNIT_EXPECT_TRUE(test, callbacks_follow(&mutex));
}

/* [25] */
static void end_under_lock_depends_on_callbacks(struct kunit *test)
{
	static DEFINE_MUTEX(mutex);
	struct mnk_ctx *ctx = test->priv;
	struct mmu_notifier_range range;

	mnk_sub_on(ctx, ctx->mm);
	mnk_start(&range, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	mutex_lock(&mutex);
	mnk_end(&range);
	mutex_unlock(&mutex);
	KUNIT_EXPECT_TRUE(test, callbacks_follow(&mutex));
}

/* [25] */
static void read_begin_under_lock_depends_on_callbacks(struct kunit *test)
{
	static DEFINE_MUTEX(mutex);
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, ctx->mm, MNK_BASE, PAGE_SIZE);

	mutex_lock(&mutex);
	mmu_interval_read_begin(&ivl->mni);
	mutex_unlock(&mutex);
	KUNIT_EXPECT_TRUE(test, callbacks_follow(&mutex));
}

/* [25] */
static void remove_under_lock_depends_on_callbacks(struct kunit *test)
{
	static DEFINE_MUTEX(mutex);
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, ctx->mm, MNK_BASE, PAGE_SIZE);

	mutex_lock(&mutex);
	mmu_interval_notifier_remove(&ivl->mni);
	mutex_unlock(&mutex);
	ivl->inserted = false;
	KUNIT_EXPECT_TRUE(test, callbacks_follow(&mutex));
}

/* A driver's lock that is taken before mmap_lock, here and in ->release */
static DEFINE_MUTEX(driver_lock);

static void lock_in_release(struct mnk_sub *sub)
{
	guard(mutex)(&driver_lock);
}

/* [29] lockdep sees the order that the core imposes, without any deadlock. */
static void register_under_lock_of_release_is_silent(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_sub *sub = mnk_sub(ctx);
	struct mnk_sub *later = mnk_sub(ctx);
	struct mnk_ivl *ivl = mnk_ivl(ctx);

	mutex_lock(&driver_lock);
	mmap_write_lock(ctx->mm);
	mmap_write_unlock(ctx->mm);
	mutex_unlock(&driver_lock);

	sub->on_release = lock_in_release;
	mnk_register(sub, mm->mm);
	mnk_mmput(ctx, mm);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);

	mutex_lock(&driver_lock);
	mnk_register(later, ctx->mm);
	mnk_get(ctx, &mnk_get_ops, ctx->mm);
	mnk_insert(ivl, ctx->mm, MNK_BASE, PAGE_SIZE);
	mmu_interval_read_begin(&ivl->mni);
	mutex_unlock(&driver_lock);
	KUNIT_EXPECT_TRUE(test, debug_locks);
}

static struct kunit_case mmu_notifier_lockdep_cases[] = {
	KUNIT_CASE(start_under_lock_depends_on_callbacks),
	KUNIT_CASE(end_under_lock_depends_on_callbacks),
	KUNIT_CASE(read_begin_under_lock_depends_on_callbacks),
	KUNIT_CASE(remove_under_lock_depends_on_callbacks),
	KUNIT_CASE(register_under_lock_of_release_is_silent),
	{}
};

static struct kunit_suite mmu_notifier_lockdep_suite = {
	.name = "mmu_notifier_lockdep",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_lockdep_cases,
};

kunit_test_suite(mmu_notifier_lockdep_suite);

MODULE_DESCRIPTION("KUnit tests of what lockdep knows of MMU notifiers");
MODULE_LICENSE("GPL");

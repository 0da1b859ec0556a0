// SPDX-License-Identifier: GPL-2.0
/*
 * mmu_notifier_get(), mmu_notifier_put() and mmu_notifier_synchronize().
 * Numbers in brackets are contracts, see mmu_notifier_kunit.h.
 */
#include <linux/mm.h>

#include "mmu_notifier_kunit.h"

static void invalidate_page(struct mnk_ctx *ctx)
{
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
}

/* [12] the operations are the identity. */
static void get_same_ops_returns_same_object(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *one = mnk_get(ctx, &mnk_get_ops, ctx->mm);
	struct mnk_sub *two = mnk_get(ctx, &mnk_get_ops, ctx->mm);

	KUNIT_EXPECT_PTR_EQ(test, one, two);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_ALLOC, NULL), 1);
	KUNIT_EXPECT_PTR_EQ(test, one->mn.ops, &mnk_get_ops);
	KUNIT_EXPECT_PTR_EQ(test, one->mn.mm, ctx->mm);
	KUNIT_EXPECT_PTR_EQ(test, mnk_call(ctx, MNK_ALLOC, one, 0)->mm,
			    ctx->mm);

	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, one), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, one), 1);
}

static void get_other_ops_returns_other_object(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *one = mnk_get(ctx, &mnk_get_ops, ctx->mm);
	struct mnk_sub *two = mnk_get(ctx, &mnk_other_get_ops, ctx->mm);

	KUNIT_EXPECT_PTR_NE(test, one, two);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, one), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, two), 1);
}

static void get_other_mm_returns_other_object(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_sub *one = mnk_get(ctx, &mnk_get_ops, ctx->mm);
	struct mnk_sub *two = mnk_get(ctx, &mnk_get_ops, mm->mm);

	KUNIT_EXPECT_PTR_NE(test, one, two);
	KUNIT_EXPECT_PTR_EQ(test, two->mn.mm, mm->mm);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, one), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, two), 0);
}

static void get_locked_mmap_lock_held_hears_sections(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mmu_notifier *mn;
	struct mnk_sub *sub;

	mmap_write_lock(ctx->mm);
	mn = mmu_notifier_get_locked(&mnk_get_ops, ctx->mm);
	mmap_write_unlock(ctx->mm);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mn);
	sub = container_of(mn, struct mnk_sub, mn);
	sub->gets++;

	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 1);
}

static void get_failed_allocation_returns_its_error(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mmu_notifier *mn;
	struct mnk_sub *sub;

	ctx->fail_alloc = true;
	mn = mmu_notifier_get(&mnk_get_ops, ctx->mm);
	KUNIT_EXPECT_PTR_EQ(test, mn, ERR_PTR(-ENOMEM));
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);

	ctx->fail_alloc = false;
	sub = mnk_get(ctx, &mnk_get_ops, ctx->mm);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
}

static void put_not_last_keeps_hearing(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_get(ctx, &mnk_get_ops, ctx->mm);

	mnk_get(ctx, &mnk_get_ops, ctx->mm);
	mnk_get(ctx, &mnk_get_ops, ctx->mm);
	mnk_put(sub);
	mnk_put(sub);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_FREE, sub), 0);

	mnk_put(sub);
	mnk_expect_freed(sub);
}

/* [11] never release; free_notifier once, later; [14] in task context. */
static void put_last_frees_once_without_release(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_get(ctx, &mnk_get_ops, ctx->mm);

	mnk_put(sub);
	mnk_expect_freed(sub);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 0);
	KUNIT_EXPECT_PTR_EQ(test, mnk_call(ctx, MNK_FREE, sub, 0)->mm, ctx->mm);

	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_FREE, sub), 1);
}

/* [11] put() does not wait for a running callback, free_notifier does. */
static void put_last_in_running_callback_frees_after_it(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_get(ctx, &mnk_get_ops, ctx->mm);
	struct mnk_section *section =
		mnk_section(ctx, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	struct mnk_task *invalidator;

	mnk_gate_arm(&sub->gate, MNK_START);
	invalidator = mnk_spawn(ctx, mnk_do_section, section);
	mnk_gate_entered(ctx, &sub->gate);

	mnk_put(sub);
	schedule_timeout_uninterruptible(MNK_PROBE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_FREE, sub), 0);

	mnk_gate_open(&sub->gate);
	mnk_join(ctx, invalidator);
	mnk_expect_freed(sub);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 0);
}

/* [12] with no user left it is invisible to get() at once. */
static void put_last_then_get_allocates_anew(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *old = mnk_get(ctx, &mnk_get_ops, ctx->mm);
	struct mnk_sub *new;

	mnk_put(old);
	new = mnk_get(ctx, &mnk_get_ops, ctx->mm);
	KUNIT_EXPECT_PTR_NE(test, new, old);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_ALLOC, NULL), 2);

	mnk_expect_freed(old);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_FREE, new), 0);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, new), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, old), 0);
}

static void put_one_object_leaves_the_other(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *one = mnk_get(ctx, &mnk_get_ops, ctx->mm);
	struct mnk_sub *two = mnk_get(ctx, &mnk_other_get_ops, ctx->mm);

	mnk_put(one);
	mnk_expect_freed(one);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, one), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, two), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_FREE, two), 0);
}

/* [11] works when exit has already unhashed the object. */
static void put_after_exit_frees_once(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub = mnk_get(ctx, &mnk_get_ops, mm->mm);

	mnk_mmput(ctx, mm);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_FREE, sub), 0);
	mnk_put(sub);
	mnk_expect_freed(sub);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
}

static void put_from_release(struct mnk_sub *sub)
{
	mnk_do_put(sub);
}

/* [8] SGX and KFD put the object from its own release. */
static void put_from_release_frees_once(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub = mnk_get(ctx, &mnk_get_ops, mm->mm);

	sub->on_release = put_from_release;
	mnk_mmput(ctx, mm);
	mnk_expect_freed(sub);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
	KUNIT_EXPECT_GT(test, mnk_pos(ctx, MNK_FREE, sub, 0),
			mnk_pos(ctx, MNK_RELEASE, sub, 0));
}

/* The object, not the caller, keeps the mm. */
static void get_until_free_pins_mm(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	int before = atomic_read(&mm->mm->mm_count);
	struct mnk_sub *sub = mnk_get(ctx, &mnk_get_ops, mm->mm);

	KUNIT_EXPECT_GT(test, atomic_read(&mm->mm->mm_count), before);
	mnk_put(sub);
	mnk_expect_freed(sub);
	KUNIT_EXPECT_PTR_EQ(test, mnk_call(ctx, MNK_FREE, sub, 0)->mm, mm->mm);
}

static unsigned long do_synchronize(void *arg)
{
	mmu_notifier_synchronize();
	return 0;
}

/* [15] returns, with and without objects, and stops nobody's callbacks. */
static void synchronize_live_object_keeps_hearing(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub;

	mnk_run(ctx, do_synchronize, NULL);
	sub = mnk_get(ctx, &mnk_get_ops, ctx->mm);
	mnk_run(ctx, do_synchronize, NULL);
	invalidate_page(ctx);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_FREE, sub), 0);
}

/* [15] no callback of an object that was put runs once it returns. */
static void synchronize_running_callback_waits(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_get(ctx, &mnk_get_ops, ctx->mm);
	struct mnk_section *section =
		mnk_section(ctx, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	struct mnk_task *invalidator, *synchronizer;

	mnk_gate_arm(&sub->gate, MNK_START);
	invalidator = mnk_spawn(ctx, mnk_do_section, section);
	mnk_gate_entered(ctx, &sub->gate);

	mnk_put(sub);
	synchronizer = mnk_spawn(ctx, do_synchronize, NULL);
	mnk_expect_blocked(ctx, synchronizer);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_FREE, sub), 0);
	mnk_gate_open(&sub->gate);
	mnk_join(ctx, synchronizer);
	mnk_join(ctx, invalidator);
	mnk_expect_freed(sub);
}

static struct kunit_case mmu_notifier_get_cases[] = {
	KUNIT_CASE(get_same_ops_returns_same_object),
	KUNIT_CASE(get_other_ops_returns_other_object),
	KUNIT_CASE(get_other_mm_returns_other_object),
	KUNIT_CASE(get_locked_mmap_lock_held_hears_sections),
	KUNIT_CASE(get_failed_allocation_returns_its_error),
	KUNIT_CASE(get_until_free_pins_mm),
	KUNIT_CASE(put_not_last_keeps_hearing),
	KUNIT_CASE(put_last_frees_once_without_release),
	KUNIT_CASE(put_last_in_running_callback_frees_after_it),
	KUNIT_CASE(put_last_then_get_allocates_anew),
	KUNIT_CASE(put_one_object_leaves_the_other),
	KUNIT_CASE(put_after_exit_frees_once),
	KUNIT_CASE(put_from_release_frees_once),
	KUNIT_CASE(synchronize_live_object_keeps_hearing),
	KUNIT_CASE(synchronize_running_callback_waits),
	{}
};

static struct kunit_suite mmu_notifier_get_suite = {
	.name = "mmu_notifier_get",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_get_cases,
};

kunit_test_suite(mmu_notifier_get_suite);

MODULE_DESCRIPTION("KUnit tests of MMU notifier get and put");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
/*
 * Calls that are bugs of the caller, and that a core that obeys does not
 * survive: it waits for itself or follows garbage. Hence the first thing that
 * each case does is to see whether the core minds mistakes at all.
 */
#include <linux/debug_locks.h>
#include <linux/mm.h>

#include "mmu_notifier_kunit.h"

/* Only lockdep knows who is in which callback. */
static void assert_deadlock_is_caught(struct mnk_ctx *ctx)
{
	mnk_assert_misuse_is_caught(ctx);
	if (!IS_ENABLED(CONFIG_LOCKDEP) || !debug_locks)
		kunit_skip(ctx->test, "without lockdep this is a deadlock");
}

/* Whatever has been tried: sections are announced, and the last call ends it */
static void expect_alive(struct mnk_ctx *ctx, struct mnk_sub *sub)
{
	sub->ops.invalidate_range_start = mnk_get_ops.invalidate_range_start;
	mnk_forget(ctx);
	mnk_invalidate(sub->mn.mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(ctx->test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(ctx->test, mnk_count(ctx, MNK_END, sub), 1);
	mnk_unregister(sub);
	KUNIT_EXPECT_EQ(ctx->test, mnk_count(ctx, MNK_RELEASE, sub), 1);
}

static int unregister_in_start(struct mmu_notifier *mn,
			       const struct mmu_notifier_range *range)
{
	mmu_notifier_unregister(mn, range->mm);
	return 0;
}

static void unregister_from_own_start_warns_and_stays(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_section *section;
	struct mnk_sub *sub;

	assert_deadlock_is_caught(ctx);
	section = mnk_section(ctx, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	sub = mnk_sub(ctx);
	sub->ops.invalidate_range_start = unregister_in_start;
	mnk_register(sub, ctx->mm);
	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, mnk_do_section, section), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 1);
	expect_alive(ctx, sub);
}

static void unregister_in_release(struct mnk_sub *sub)
{
	mmu_notifier_unregister(&sub->mn, sub->mn.mm);
}

static void unregister_from_own_release_warns_and_ends_once(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub;

	assert_deadlock_is_caught(ctx);
	sub = mnk_sub_on(ctx, ctx->mm);
	sub->on_release = unregister_in_release;
	sub->registered = false;
	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, mnk_do_unregister, sub), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 0);

	sub->on_release = NULL;
	mnk_register(sub, ctx->mm);
	expect_alive(ctx, sub);
}

/* It is still registered, for somebody else to unregister. */
static void unregister_from_release_at_exit_warns_and_stays(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm;
	struct mnk_sub *sub;
	int before;

	assert_deadlock_is_caught(ctx);
	mm = mnk_mm_empty(ctx);
	sub = mnk_sub_on(ctx, mm->mm);
	sub->on_release = unregister_in_release;
	mm->live = false;
	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, mnk_do_mmput, mm->mm), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
	before = atomic_read(&mm->mm->mm_count);
	mnk_unregister(sub);
	KUNIT_EXPECT_EQ(test, atomic_read(&mm->mm->mm_count), before - 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
}

static bool remove_in_invalidate(struct mmu_interval_notifier *mni,
				 const struct mmu_notifier_range *range,
				 unsigned long cur_seq)
{
	mmu_interval_notifier_remove(mni);
	mmu_interval_set_seq(mni, cur_seq);
	return true;
}

static void remove_from_own_callback_warns_and_stays(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mmu_interval_notifier_ops ops;
	struct mnk_section *section;
	struct mnk_ivl *ivl;

	assert_deadlock_is_caught(ctx);
	section = mnk_section(ctx, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	ivl = mnk_ivl(ctx);
	ops = ivl->ops;
	ivl->ops.invalidate = remove_in_invalidate;
	mnk_insert(ivl, ctx->mm, MNK_BASE, PAGE_SIZE);
	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, mnk_do_section, section), 0);

	ivl->ops = ops;
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
	KUNIT_EXPECT_TRUE(test, mnk_read_begin(ivl) & 1);
	mnk_remove(ivl);
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
}

static unsigned long do_register(void *arg)
{
	struct mnk_sub *sub = arg;

	return mmu_notifier_register(&sub->mn, sub->data);
}

static void register_without_mm_users_fails(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm;
	struct mnk_sub *sub;
	int before;

	mnk_assert_misuse_is_caught(ctx);
	mm = mnk_mm_empty(ctx);
	mnk_mmput(ctx, mm);
	before = atomic_read(&mm->mm->mm_count);
	sub = mnk_sub(ctx);
	sub->data = mm->mm;
	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, do_register, sub), 0);
	KUNIT_EXPECT_EQ(test, (long)ctx->misuse.ret, -EINVAL);
	KUNIT_EXPECT_EQ(test, atomic_read(&mm->mm->mm_count), before);
	mnk_invalidate(mm->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
}

static unsigned long do_insert(void *arg)
{
	struct mnk_ivl *ivl = arg;

	return mmu_interval_notifier_insert(&ivl->mni, ivl->mni.mm, MNK_BASE,
					    PAGE_SIZE, &ivl->ops);
}

static void insert_without_mm_users_fails(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm;
	struct mnk_ivl *ivl;
	int before;

	mnk_assert_misuse_is_caught(ctx);
	mm = mnk_mm_empty(ctx);
	mnk_mmput(ctx, mm);
	before = atomic_read(&mm->mm->mm_count);
	ivl = mnk_ivl(ctx);
	ivl->mni.mm = mm->mm;
	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, do_insert, ivl), 0);
	KUNIT_EXPECT_EQ(test, (long)ctx->misuse.ret, -EINVAL);
	KUNIT_EXPECT_EQ(test, atomic_read(&mm->mm->mm_count), before);
	mnk_invalidate(mm->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
}

static void end_as_ocxl_does(struct kunit *test,
			     unsigned long (*fn)(void *sub))
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_sub *sub = mnk_sub(ctx);
	int before = atomic_read(&mm->mm->mm_count);

	sub->data = mm->mm;
	sub->ops.arch_invalidate_secondary_tlbs = mnk_op_tlb;
	mnk_warnings(ctx, do_register, sub);
	KUNIT_ASSERT_EQ(test, (long)ctx->misuse.ret, -EINVAL);
	KUNIT_ASSERT_PTR_EQ(test, sub->mn.mm, NULL);

	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, fn, sub), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&mm->mm->mm_count), before);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
	sub->ops.arch_invalidate_secondary_tlbs = NULL;
	mnk_register(sub, mm->mm);
	expect_alive(ctx, sub);
}

static unsigned long do_unregister_data(void *arg)
{
	struct mnk_sub *sub = arg;

	mmu_notifier_unregister(&sub->mn, sub->data);
	return 0;
}

static void unregister_after_failed_register_warns(struct kunit *test)
{
	end_as_ocxl_does(test, do_unregister_data);
}

static unsigned long do_put(void *arg)
{
	struct mnk_sub *sub = arg;

	mmu_notifier_put(&sub->mn);
	return 0;
}

static void put_after_failed_register_warns(struct kunit *test)
{
	end_as_ocxl_does(test, do_put);
}

/* As kfd_svm, which ignores the result of insert. */
static void remove_after_failed_insert_warns(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_ivl *ivl = mnk_ivl(ctx);
	int before = atomic_read(&mm->mm->mm_count);

	KUNIT_ASSERT_LT(test, mmu_interval_notifier_insert(&ivl->mni, mm->mm,
							   MNK_BASE, 0,
							   &ivl->ops), 0);
	KUNIT_ASSERT_PTR_EQ(test, ivl->mni.mm, NULL);
	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, mnk_do_remove, ivl), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&mm->mm->mm_count), before);
	mnk_insert(ivl, mm->mm, MNK_BASE, PAGE_SIZE);
	mnk_invalidate(mm->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
}

static struct kunit_case mmu_notifier_fatal_cases[] = {
	KUNIT_CASE(unregister_from_own_start_warns_and_stays),
	KUNIT_CASE(unregister_from_own_release_warns_and_ends_once),
	KUNIT_CASE(unregister_from_release_at_exit_warns_and_stays),
	KUNIT_CASE(remove_from_own_callback_warns_and_stays),
	KUNIT_CASE(register_without_mm_users_fails),
	KUNIT_CASE(insert_without_mm_users_fails),
	KUNIT_CASE(unregister_after_failed_register_warns),
	KUNIT_CASE(put_after_failed_register_warns),
	KUNIT_CASE(remove_after_failed_insert_warns),
	{}
};

static struct kunit_suite mmu_notifier_fatal_suite = {
	.name = "mmu_notifier_fatal",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_fatal_cases,
};

kunit_test_suite(mmu_notifier_fatal_suite);

MODULE_DESCRIPTION("KUnit tests of fatal mistakes in the use of MMU notifiers");
MODULE_LICENSE("GPL");

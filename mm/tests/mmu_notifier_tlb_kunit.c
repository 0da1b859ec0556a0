// SPDX-License-Identifier: GPL-2.0
/*
 * arch_invalidate_secondary_tlbs. Numbers in brackets are contracts, see
 * mmu_notifier_kunit.h.
 */
#include <linux/mm.h>

#include "mmu_notifier_kunit.h"

static struct mnk_sub *tlb_sub(struct mnk_ctx *ctx)
{
	struct mnk_sub *sub = mnk_sub(ctx);

	sub->ops.invalidate_range_start = NULL;
	sub->ops.invalidate_range_end = NULL;
	sub->ops.arch_invalidate_secondary_tlbs = mnk_op_tlb;
	return sub;
}

static struct mnk_sub *tlb_sub_on(struct mnk_ctx *ctx, struct mm_struct *mm)
{
	struct mnk_sub *sub = tlb_sub(ctx);

	mnk_register(sub, mm);
	return sub;
}

struct tlb_range {
	const char *name;
	unsigned long start;
	unsigned long end;
};

static const struct tlb_range tlb_ranges[] = {
	{ "page", MNK_BASE, MNK_BASE + PAGE_SIZE },
	{ "first page", 0, PAGE_SIZE },
	{ "wide", MNK_BASE, MNK_BASE + SZ_1G },
	{ "everything", 0, -1UL },
	{ "kernel", -(unsigned long)SZ_16M, -(unsigned long)SZ_8M },
};

KUNIT_ARRAY_PARAM_DESC(tlb_ranges, tlb_ranges, name);

/* [24] under the page table lock; kernel addresses come, too. */
static void tlb_range_under_spinlock_is_passed_through(struct kunit *test)
{
	static DEFINE_SPINLOCK(ptl);
	const struct tlb_range *range = test->param_value;
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = tlb_sub_on(ctx, ctx->mm);
	const struct mnk_call *call;

	spin_lock(&ptl);
	mmu_notifier_arch_invalidate_secondary_tlbs(ctx->mm, range->start,
						    range->end);
	spin_unlock(&ptl);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 1);
	call = mnk_call(ctx, MNK_TLB, sub, 0);
	KUNIT_EXPECT_PTR_EQ(test, call->mm, ctx->mm);
	KUNIT_EXPECT_EQ(test, call->start, range->start);
	KUNIT_EXPECT_EQ(test, call->end, range->end);
}

static void tlb_irqs_disabled_reaches_all(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *one = tlb_sub_on(ctx, ctx->mm);
	struct mnk_sub *two = tlb_sub_on(ctx, ctx->mm);

	local_irq_disable();
	mmu_notifier_arch_invalidate_secondary_tlbs(ctx->mm, MNK_BASE,
						    MNK_BASE + PAGE_SIZE);
	local_irq_enable();
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_TLB, one), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_TLB, two), 1);
	/* [5] */
	KUNIT_EXPECT_PTR_EQ(test, mnk_call(ctx, MNK_TLB, NULL, 0)->who, two);
}

static void tlb_section_and_flush_do_not_mix(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *tlb = tlb_sub_on(ctx, ctx->mm);
	struct mnk_sub *section = mnk_sub_on(ctx, ctx->mm);
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, ctx->mm, MNK_BASE, PAGE_SIZE);

	mmu_notifier_arch_invalidate_secondary_tlbs(ctx->mm, MNK_BASE,
						    MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_TLB, tlb), 1);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 1);

	mnk_forget(ctx);
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_TLB, NULL), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, section), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, section), 1);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 3);
}

static void tlb_in_open_section_is_announced(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *tlb = tlb_sub_on(ctx, ctx->mm);
	struct mmu_notifier_range range;

	mnk_start(&range, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	mmu_notifier_arch_invalidate_secondary_tlbs(ctx->mm, MNK_BASE,
						    MNK_BASE + PAGE_SIZE);
	mnk_end(&range);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_TLB, tlb), 1);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 1);
}

static void tlb_other_mm_is_silent(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_sub *sub = tlb_sub_on(ctx, mm->mm);

	mmu_notifier_arch_invalidate_secondary_tlbs(ctx->mm, 0, -1UL);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
	mmu_notifier_arch_invalidate_secondary_tlbs(mm->mm, 0, -1UL);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_TLB, sub), 1);
}

static void tlb_after_unregister_is_silent(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *stays = tlb_sub_on(ctx, ctx->mm);
	struct mnk_sub *goes = tlb_sub_on(ctx, ctx->mm);

	mnk_unregister(goes);
	mmu_notifier_arch_invalidate_secondary_tlbs(ctx->mm, MNK_BASE,
						    MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_TLB, goes), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_TLB, stays), 1);
}

static void tlb_after_exit_is_silent(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_sub *sub = tlb_sub_on(ctx, mm->mm);

	mnk_mmput(ctx, mm);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
	mnk_forget(ctx);
	mmu_notifier_arch_invalidate_secondary_tlbs(mm->mm, 0, -1UL);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
}

/* A subscriber hears sections or flushes, never both. */
static void register_tlb_and_section_ops_fails(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *both = mnk_sub(ctx);
	int ret = 0;

	both->ops.arch_invalidate_secondary_tlbs = mnk_op_tlb;
	kunit_warning_suppress(test)
		ret = mmu_notifier_register(&both->mn, ctx->mm);
	both->registered = !ret;
	KUNIT_EXPECT_EQ(test, ret, -EINVAL);
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	mmu_notifier_arch_invalidate_secondary_tlbs(ctx->mm, 0, -1UL);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
}

static struct kunit_case mmu_notifier_tlb_cases[] = {
	KUNIT_CASE_PARAM(tlb_range_under_spinlock_is_passed_through,
			 tlb_ranges_gen_params),
	KUNIT_CASE(tlb_irqs_disabled_reaches_all),
	KUNIT_CASE(tlb_section_and_flush_do_not_mix),
	KUNIT_CASE(tlb_in_open_section_is_announced),
	KUNIT_CASE(tlb_other_mm_is_silent),
	KUNIT_CASE(tlb_after_unregister_is_silent),
	KUNIT_CASE(tlb_after_exit_is_silent),
	KUNIT_CASE(register_tlb_and_section_ops_fails),
	{}
};

static struct kunit_suite mmu_notifier_tlb_suite = {
	.name = "mmu_notifier_tlb",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_tlb_cases,
};

kunit_test_suite(mmu_notifier_tlb_suite);

MODULE_DESCRIPTION("KUnit tests of secondary TLB invalidation");
MODULE_LICENSE("GPL");

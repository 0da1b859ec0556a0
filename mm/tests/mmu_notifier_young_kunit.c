// SPDX-License-Identifier: GPL-2.0
/*
 * clear_flush_young, clear_young and test_young. Numbers in brackets are
 * contracts, see mmu_notifier_kunit.h.
 */
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/rmap.h>

#include "mmu_notifier_kunit.h"

#define YOUNG_START	(MNK_BASE + PAGE_SIZE)
#define YOUNG_END	(MNK_BASE + PAGE_SIZE * 3)

static bool test_young(struct mm_struct *mm, unsigned long start,
		       unsigned long end)
{
	return mmu_notifier_test_young(mm, start);
}

struct young_op {
	const char *name;
	enum mnk_op op;
	bool (*fn)(struct mm_struct *mm, unsigned long start,
		   unsigned long end);
	bool asks_all;		/* it clears, so everybody has to hear */
	unsigned long end;
};

static const struct young_op young_ops[] = {
	{ "clear_flush_young", MNK_FLUSH_YOUNG, mmu_notifier_clear_flush_young,
	  true, YOUNG_END },
	{ "clear_young", MNK_CLEAR_YOUNG, mmu_notifier_clear_young, true,
	  YOUNG_END },
	{ "test_young", MNK_TEST_YOUNG, test_young, false, 0 },
};

KUNIT_ARRAY_PARAM_DESC(young_ops, young_ops, name);

static void clear_op(struct mnk_sub *sub, enum mnk_op op)
{
	if (op == MNK_FLUSH_YOUNG)
		sub->ops.clear_flush_young = NULL;
	else if (op == MNK_CLEAR_YOUNG)
		sub->ops.clear_young = NULL;
	else
		sub->ops.test_young = NULL;
}

/* Every combination of answers of three subscribers; [24] under a spinlock. */
static void young_any_answer_is_the_result(struct kunit *test)
{
	static DEFINE_SPINLOCK(ptl);
	const struct young_op *op = test->param_value;
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub[3];
	int answers, i;
	bool young;

	for (i = 0; i < ARRAY_SIZE(sub); i++)
		sub[i] = mnk_sub_on(ctx, ctx->mm);
	for (answers = 0; answers < 1 << ARRAY_SIZE(sub); answers++) {
		for (i = 0; i < ARRAY_SIZE(sub); i++)
			sub[i]->young = answers & BIT(i);
		mnk_forget(ctx);
		spin_lock(&ptl);
		young = op->fn(ctx->mm, YOUNG_START, YOUNG_END);
		spin_unlock(&ptl);

		KUNIT_EXPECT_EQ_MSG(test, young, !!answers, "answers %x",
				    answers);
		if (op->asks_all || !answers)
			KUNIT_EXPECT_EQ(test, mnk_count(ctx, op->op, NULL),
					ARRAY_SIZE(sub));
		KUNIT_EXPECT_GE(test, mnk_count(ctx, op->op, NULL), 1);
		KUNIT_EXPECT_EQ(test, ctx->nr_calls,
				mnk_count(ctx, op->op, NULL));
	}
}

static void young_arguments_are_passed_through(struct kunit *test)
{
	const struct young_op *op = test->param_value;
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);
	const struct mnk_call *call;

	op->fn(ctx->mm, YOUNG_START, YOUNG_END);
	call = mnk_call(ctx, op->op, sub, 0);
	KUNIT_EXPECT_PTR_EQ(test, call->mm, ctx->mm);
	KUNIT_EXPECT_EQ(test, call->start, YOUNG_START);
	KUNIT_EXPECT_EQ(test, call->end, op->end);
}

static void young_without_op_is_skipped(struct kunit *test)
{
	const struct young_op *op = test->param_value;
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *mute[2], *asked;
	int i;

	mute[0] = mnk_sub(ctx);
	asked = mnk_sub(ctx);
	mute[1] = mnk_sub(ctx);
	for (i = 0; i < ARRAY_SIZE(mute); i++) {
		mute[i]->young = true;
		clear_op(mute[i], op->op);
	}
	mnk_register(mute[0], ctx->mm);
	mnk_register(asked, ctx->mm);
	mnk_register(mute[1], ctx->mm);

	KUNIT_EXPECT_FALSE(test, op->fn(ctx->mm, YOUNG_START, YOUNG_END));
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, op->op, asked), 1);
	asked->young = true;
	KUNIT_EXPECT_TRUE(test, op->fn(ctx->mm, YOUNG_START, YOUNG_END));
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, op->op, asked), 2);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 2);
}

/* Nobody there, only intervals there, nobody there any more. */
static void young_without_subscribers_is_false(struct kunit *test)
{
	const struct young_op *op = test->param_value;
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub;

	KUNIT_EXPECT_FALSE(test, op->fn(ctx->mm, YOUNG_START, YOUNG_END));
	mnk_ivl_on(ctx, ctx->mm, MNK_BASE, SZ_1M);
	KUNIT_EXPECT_FALSE(test, op->fn(ctx->mm, YOUNG_START, YOUNG_END));
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);

	sub = mnk_sub_on(ctx, ctx->mm);
	sub->young = true;
	KUNIT_EXPECT_TRUE(test, op->fn(ctx->mm, YOUNG_START, YOUNG_END));
	mnk_unregister(sub);
	KUNIT_EXPECT_FALSE(test, op->fn(ctx->mm, YOUNG_START, YOUNG_END));
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, op->op, sub), 1);
}

static void young_other_mm_is_not_asked(struct kunit *test)
{
	const struct young_op *op = test->param_value;
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);

	sub->young = true;
	KUNIT_EXPECT_FALSE(test, op->fn(ctx->mm, YOUNG_START, YOUNG_END));
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
	KUNIT_EXPECT_TRUE(test, op->fn(mm->mm, YOUNG_START, YOUNG_END));
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, op->op, sub), 1);
}

static int referenced(struct mnk_ctx *ctx)
{
	struct folio *folio = page_folio(ctx->watch);
	vm_flags_t vm_flags;
	int ret;

	folio_lock(folio);
	ret = folio_referenced(folio, true, NULL, &vm_flags);
	folio_unlock(folio);
	return ret;
}

/* [24] reclaim asks under the page table lock; the answer counts. */
static void young_rmap_walk_asks_subscriber(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	unsigned long addr = mnk_map(ctx, NULL, MAP_PRIVATE | MAP_ANONYMOUS);
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);
	const struct mnk_call *call;
	enum mnk_op op;

	mnk_populate(ctx, addr);
	referenced(ctx);
	mnk_forget(ctx);
	KUNIT_EXPECT_EQ(test, referenced(ctx), 0);
	sub->young = true;
	KUNIT_EXPECT_EQ(test, referenced(ctx), 1);

	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 2);
	op = mnk_count(ctx, MNK_FLUSH_YOUNG, sub) ? MNK_FLUSH_YOUNG :
						    MNK_CLEAR_YOUNG;
	call = mnk_call(ctx, op, sub, 1);
	KUNIT_EXPECT_EQ(test, call->start, addr);
	KUNIT_EXPECT_EQ(test, call->end, addr + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, call->may_sleep,
			!IS_ENABLED(CONFIG_PREEMPT_COUNT));
}

static struct kunit_case mmu_notifier_young_cases[] = {
	KUNIT_CASE_PARAM(young_any_answer_is_the_result, young_ops_gen_params),
	KUNIT_CASE_PARAM(young_arguments_are_passed_through,
			 young_ops_gen_params),
	KUNIT_CASE_PARAM(young_without_op_is_skipped, young_ops_gen_params),
	KUNIT_CASE_PARAM(young_without_subscribers_is_false,
			 young_ops_gen_params),
	KUNIT_CASE_PARAM(young_other_mm_is_not_asked, young_ops_gen_params),
	KUNIT_CASE(young_rmap_walk_asks_subscriber),
	{}
};

static struct kunit_suite mmu_notifier_young_suite = {
	.name = "mmu_notifier_young",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_young_cases,
};

kunit_test_suite(mmu_notifier_young_suite);

MODULE_DESCRIPTION("KUnit tests of MMU notifier page aging");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0
/*
 * Non-blocking sections, which a subscriber may refuse. Numbers in brackets
 * are contracts, see mmu_notifier_kunit.h.
 *
 * A whole-mm subscriber that may refuse must not implement
 * invalidate_range_end, see the documentation of struct mmu_notifier_ops.
 */
#include <linux/mm.h>
#include <linux/mman.h>

#include "../internal.h"
#include "mmu_notifier_kunit.h"

static int invalidate_page(struct mnk_ctx *ctx)
{
	return mnk_invalidate_nonblock(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
}

static struct mnk_sub *refusing_sub(struct mnk_ctx *ctx)
{
	struct mnk_sub *sub = mnk_sub(ctx);

	sub->ops.invalidate_range_end = NULL;
	sub->refuse = true;
	mnk_register(sub, ctx->mm);
	return sub;
}

static void nonblock_accepted_is_paired(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, ctx->mm, MNK_BASE, PAGE_SIZE);
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);

	KUNIT_EXPECT_EQ(test, invalidate_page(ctx), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 1);
	KUNIT_EXPECT_FALSE(test, mnk_call(ctx, MNK_INVALIDATE, ivl, 0)->
			   blockable);
	KUNIT_EXPECT_FALSE(test, mnk_call(ctx, MNK_START, sub, 0)->blockable);
	KUNIT_EXPECT_FALSE(test, mnk_call(ctx, MNK_END, sub, 0)->blockable);
}

/* The function that is called decides, not what the flags were before. */
static void nonblock_stale_flags_are_overruled(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);
	struct mmu_notifier_range range;
	int ret;

	mmu_notifier_range_init_owner(&range, MMU_NOTIFY_CLEAR,
				      MMU_NOTIFIER_RANGE_BLOCKABLE, ctx->mm,
				      MNK_BASE, MNK_BASE + PAGE_SIZE, NULL);
	ret = mmu_notifier_invalidate_range_start_nonblock(&range);
	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_FALSE(test, mmu_notifier_range_blockable(&range));
	if (!ret)
		mnk_end(&range);
	mmu_notifier_invalidate_range_start(&range);
	KUNIT_EXPECT_TRUE(test, mmu_notifier_range_blockable(&range));
	mnk_end(&range);

	KUNIT_EXPECT_FALSE(test, mnk_call(ctx, MNK_START, sub, 0)->blockable);
	KUNIT_EXPECT_FALSE(test, mnk_call(ctx, MNK_END, sub, 0)->blockable);
	KUNIT_EXPECT_TRUE(test, mnk_call(ctx, MNK_START, sub, 1)->blockable);
	KUNIT_EXPECT_TRUE(test, mnk_call(ctx, MNK_END, sub, 1)->blockable);
}

struct refusal {
	const char *name;
	bool refuse[3];		/* in the order of registration */
};

static const struct refusal refusals[] = {
	{ "first", { true, false, false } },
	{ "middle", { false, true, false } },
	{ "last", { false, false, true } },
	{ "all but one", { true, false, true } },
	{ "all", { true, true, true } },
};

KUNIT_ARRAY_PARAM_DESC(refusals, refusals, name);

/* [3] all are offered the start; those that took it get their end. */
static void nonblock_refused_is_offered_to_all(struct kunit *test)
{
	const struct refusal *refusal = test->param_value;
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub[3];
	int i, last_start, end;

	for (i = 0; i < ARRAY_SIZE(sub); i++)
		sub[i] = refusal->refuse[i] ? refusing_sub(ctx) :
					      mnk_sub_on(ctx, ctx->mm);
	KUNIT_EXPECT_EQ(test, invalidate_page(ctx), -EAGAIN);

	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, NULL), 3);
	last_start = mnk_pos(ctx, MNK_START, NULL, 2);
	for (i = 0; i < ARRAY_SIZE(sub); i++) {
		end = mnk_pos(ctx, MNK_END, sub[i], 0);
		KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub[i]), 1);
		KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub[i]),
				!refusal->refuse[i]);
		KUNIT_EXPECT_EQ(test, end > last_start, !refusal->refuse[i]);
	}
}

static void nonblock_refused_end_sees_range_of_start(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	const struct mnk_call *start, *end;
	struct mnk_sub *sub;

	refusing_sub(ctx);
	sub = mnk_sub_on(ctx, ctx->mm);
	KUNIT_EXPECT_EQ(test, invalidate_page(ctx), -EAGAIN);
	start = mnk_call(ctx, MNK_START, sub, 0);
	end = mnk_call(ctx, MNK_END, sub, 0);
	KUNIT_EXPECT_EQ(test, start->start, MNK_BASE);
	KUNIT_EXPECT_EQ(test, end->start, MNK_BASE);
	KUNIT_EXPECT_EQ(test, start->end, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, end->end, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, end->event, MMU_NOTIFY_CLEAR);
	KUNIT_EXPECT_FALSE(test, end->blockable);
}

/* A refused section is over: the next one is as any other. */
static void nonblock_refused_leaves_nothing_behind(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *refusing = refusing_sub(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);

	KUNIT_EXPECT_EQ(test, invalidate_page(ctx), -EAGAIN);
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 2);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 2);

	refusing->refuse = false;
	KUNIT_EXPECT_EQ(test, invalidate_page(ctx), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 3);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 3);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, refusing), 3);
}

/* [3] when an interval refuses, no whole-mm subscriber hears anything. */
static void nonblock_interval_refuses_before_whole_mm(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, ctx->mm, MNK_BASE, PAGE_SIZE);
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);

	ivl->refuse = true;
	KUNIT_EXPECT_EQ(test, invalidate_page(ctx), -EAGAIN);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 0);

	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 2);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 1);
}

/* Readers and removers of any of the intervals find nothing going on. */
static void nonblock_interval_refuses_blocks_no_reader(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl[3];
	unsigned long seq;
	int i;

	for (i = 0; i < ARRAY_SIZE(ivl); i++)
		ivl[i] = mnk_ivl_on(ctx, ctx->mm, MNK_BASE + i * PAGE_SIZE,
				    PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(ivl); i++) {
		ivl[i]->refuse = true;
		KUNIT_EXPECT_EQ(test, -EAGAIN,
				mnk_invalidate_nonblock(ctx->mm, MNK_BASE,
							MNK_BASE + SZ_1M));
		ivl[i]->refuse = false;
	}
	KUNIT_EXPECT_GE(test, mnk_count(ctx, MNK_INVALIDATE, NULL), 3);
	for (i = 0; i < ARRAY_SIZE(ivl); i++) {
		seq = mnk_read_begin(ivl[i]);
		KUNIT_EXPECT_TRUE(test, seq & 1);
		KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl[i], seq));
		mnk_remove(ivl[i]);
	}
}

static void nonblock_interval_misses_is_not_asked(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, ctx->mm, MNK_BASE + PAGE_SIZE,
					 PAGE_SIZE);

	ivl->refuse = true;
	KUNIT_EXPECT_EQ(test, invalidate_page(ctx), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 0);
}

/* Refusal is for non-blocking sections only: a blocking one is accepted. */
static void start_after_refusal_is_accepted(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, ctx->mm, MNK_BASE, PAGE_SIZE);
	unsigned long seq = mnk_read_begin(ivl);

	ivl->refuse = true;
	KUNIT_EXPECT_EQ(test, invalidate_page(ctx), -EAGAIN);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, seq));
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(ivl, seq));
	KUNIT_EXPECT_TRUE(test, mnk_call(ctx, MNK_INVALIDATE, ivl, 1)->
			  blockable);
}

/* [4] intervals take their mutexes in a non-blocking section, too. */
static void nonblock_interval_callback_may_take_mutex(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *plain = mnk_ivl(ctx), *two_pass = mnk_ivl_two_pass(ctx);

	mnk_insert(plain, ctx->mm, MNK_BASE, PAGE_SIZE);
	mnk_insert(two_pass, ctx->mm, MNK_BASE, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, invalidate_page(ctx), 0);
	KUNIT_EXPECT_FALSE(test, mnk_call(ctx, MNK_INVALIDATE, plain, 0)->
			   non_block);
	KUNIT_EXPECT_FALSE(test, mnk_call(ctx, MNK_INVALIDATE_START, two_pass,
					  0)->non_block);
	KUNIT_EXPECT_FALSE(test, mnk_call(ctx, MNK_INVALIDATE_FINISH, two_pass,
					  0)->non_block);
}

static int reap(struct mnk_ctx *ctx, unsigned long addr)
{
	int ret;

	mmap_read_lock(ctx->mm);
	ret = zap_vma_for_reaping(find_vma(ctx->mm, addr));
	mmap_read_unlock(ctx->mm);
	return ret;
}

/* [4] what the OOM reaper does is the only source; its event is CLEAR. */
static void nonblock_reaper_carries_clear(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	unsigned long addr = mnk_map(ctx, NULL, MAP_PRIVATE | MAP_ANONYMOUS);
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, ctx->mm, addr, PAGE_SIZE);
	const struct mnk_call *call;

	mnk_populate(ctx, addr);
	mnk_forget(ctx);
	KUNIT_EXPECT_EQ(test, reap(ctx, addr), 0);
	call = mnk_call(ctx, MNK_INVALIDATE, ivl, 0);
	KUNIT_EXPECT_EQ(test, call->event, MMU_NOTIFY_CLEAR);
	KUNIT_EXPECT_FALSE(test, call->blockable);
	call = mnk_call(ctx, MNK_START, sub, 0);
	KUNIT_EXPECT_EQ(test, call->event, MMU_NOTIFY_CLEAR);
	KUNIT_EXPECT_FALSE(test, call->blockable);
	KUNIT_EXPECT_EQ(test, call->mapcount, 1);
	KUNIT_EXPECT_EQ(test, mnk_call(ctx, MNK_END, sub, 0)->mapcount, 0);
}

static void nonblock_reaper_refused_leaves_page_mapped(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	unsigned long addr = mnk_map(ctx, NULL, MAP_PRIVATE | MAP_ANONYMOUS);
	struct mnk_sub *sub = refusing_sub(ctx);

	mnk_populate(ctx, addr);
	mnk_forget(ctx);
	KUNIT_EXPECT_EQ(test, reap(ctx, addr), -EBUSY);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, folio_mapcount(page_folio(ctx->watch)), 1);
	sub->refuse = false;
	KUNIT_EXPECT_EQ(test, reap(ctx, addr), 0);
	KUNIT_EXPECT_EQ(test, folio_mapcount(page_folio(ctx->watch)), 0);
}

static struct kunit_case mmu_notifier_nonblock_cases[] = {
	KUNIT_CASE(nonblock_accepted_is_paired),
	KUNIT_CASE(nonblock_stale_flags_are_overruled),
	KUNIT_CASE_PARAM(nonblock_refused_is_offered_to_all,
			 refusals_gen_params),
	KUNIT_CASE(nonblock_refused_end_sees_range_of_start),
	KUNIT_CASE(nonblock_refused_leaves_nothing_behind),
	KUNIT_CASE(nonblock_interval_refuses_before_whole_mm),
	KUNIT_CASE(nonblock_interval_refuses_blocks_no_reader),
	KUNIT_CASE(nonblock_interval_misses_is_not_asked),
	KUNIT_CASE(nonblock_interval_callback_may_take_mutex),
	KUNIT_CASE(start_after_refusal_is_accepted),
	KUNIT_CASE(nonblock_reaper_carries_clear),
	KUNIT_CASE(nonblock_reaper_refused_leaves_page_mapped),
	{}
};

static struct kunit_suite mmu_notifier_nonblock_suite = {
	.name = "mmu_notifier_nonblock",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_nonblock_cases,
};

kunit_test_suite(mmu_notifier_nonblock_suite);

MODULE_DESCRIPTION("KUnit tests of non-blocking MMU notifier sections");
MODULE_LICENSE("GPL");

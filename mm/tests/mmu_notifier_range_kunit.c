// SPDX-License-Identifier: GPL-2.0
/*
 * Which sections hit which intervals. A section is [start, end), an interval
 * counts bytes and includes its last one.
 */
#include <linux/mm.h>
#include <linux/prandom.h>

#include "mmu_notifier_kunit.h"

#define PAGES(n)	(MNK_BASE + (unsigned long)(n) * PAGE_SIZE)

struct overlap {
	const char *name;
	unsigned long start;	/* of the interval */
	unsigned long length;
	unsigned long from;	/* section */
	unsigned long to;
	bool hit;
};

static const struct overlap overlaps[] = {
	{ "same page", PAGES(4), PAGE_SIZE, PAGES(4), PAGES(5), true },
	{ "page before", PAGES(4), PAGE_SIZE, PAGES(3), PAGES(4), false },
	{ "page after", PAGES(4), PAGE_SIZE, PAGES(5), PAGES(6), false },
	{ "page before and this", PAGES(4), PAGE_SIZE, PAGES(3), PAGES(5),
	  true },
	{ "this page and after", PAGES(4), PAGE_SIZE, PAGES(4), PAGES(6),
	  true },
	{ "far before", PAGES(4), PAGE_SIZE, 0, PAGE_SIZE, false },
	{ "far after", PAGES(4), PAGE_SIZE, PAGES(4000), PAGES(4001), false },
	{ "all before", PAGES(4), PAGE_SIZE, 0, PAGES(4), false },
	{ "all after", PAGES(4), PAGE_SIZE, PAGES(5), ULONG_MAX, false },
	{ "all of it", PAGES(4), PAGE_SIZE, 0, ULONG_MAX, true },
	{ "covers", PAGES(4), PAGE_SIZE, PAGES(2), PAGES(7), true },

	{ "first page of wide", PAGES(4), PAGE_SIZE * 64, PAGES(4), PAGES(5),
	  true },
	{ "last page of wide", PAGES(4), PAGE_SIZE * 64, PAGES(67), PAGES(68),
	  true },
	{ "middle of wide", PAGES(4), PAGE_SIZE * 64, PAGES(30), PAGES(31),
	  true },
	{ "before wide", PAGES(4), PAGE_SIZE * 64, PAGES(3), PAGES(4), false },
	{ "after wide", PAGES(4), PAGE_SIZE * 64, PAGES(68), PAGES(69), false },
	{ "front of wide", PAGES(4), PAGE_SIZE * 64, PAGES(0), PAGES(5), true },
	{ "back of wide", PAGES(4), PAGE_SIZE * 64, PAGES(67), PAGES(80),
	  true },

	{ "first byte of page", PAGES(4), 1, PAGES(4), PAGES(5), true },
	{ "last byte of page", PAGES(5) - 1, 1, PAGES(4), PAGES(5), true },
	{ "last byte, page after", PAGES(5) - 1, 1, PAGES(5), PAGES(6), false },
	{ "first byte, page before", PAGES(4), 1, PAGES(3), PAGES(4), false },
	{ "straddles into page", PAGES(4) - 1, 2, PAGES(4), PAGES(5), true },
	{ "straddles out of page", PAGES(5) - 1, 2, PAGES(4), PAGES(5), true },
	{ "one byte into page", PAGES(3), PAGE_SIZE + 1, PAGES(4), PAGES(5),
	  true },
	{ "up to page", PAGES(3), PAGE_SIZE, PAGES(4), PAGES(5), false },

	{ "byte zero", 0, 1, 0, PAGE_SIZE, true },
	{ "byte zero, second page", 0, 1, PAGE_SIZE, PAGE_SIZE * 2, false },
	{ "whole space, first page", 0, ULONG_MAX, 0, PAGE_SIZE, true },
	{ "whole space, middle", 0, ULONG_MAX, PAGES(4), PAGES(5), true },
	{ "whole space, all of it", 0, ULONG_MAX, 0, ULONG_MAX, true },
	{ "top page, top", -PAGE_SIZE, PAGE_SIZE, -PAGE_SIZE, ULONG_MAX, true },
	{ "top page, below", -PAGE_SIZE, PAGE_SIZE, -2 * PAGE_SIZE, -PAGE_SIZE,
	  false },
	{ "top page, all of it", -PAGE_SIZE, PAGE_SIZE, 0, ULONG_MAX, true },
};

KUNIT_ARRAY_PARAM_DESC(overlaps, overlaps, name);

/*
 * A hit is a callback, a collision for readers and a wait for new readers; a
 * miss is none of them. A whole-mm subscriber hears either.
 */
static void invalidate_range_hits_as_far_as_it_overlaps(struct kunit *test)
{
	const struct overlap *overlap = test->param_value;
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, ctx->mm, overlap->start,
					 overlap->length);
	unsigned long seq = mnk_read_begin(ivl);
	struct mmu_notifier_range range;
	struct mnk_task *reader;

	mnk_start(&range, ctx->mm, overlap->from, overlap->to);
	reader = mnk_spawn(ctx, mnk_do_read_begin, ivl);
	if (overlap->hit)
		mnk_expect_blocked(ctx, reader);
	else
		KUNIT_EXPECT_EQ(test, mnk_join(ctx, reader), seq);
	mnk_end(&range);
	if (overlap->hit)
		KUNIT_EXPECT_NE(test, mnk_join(ctx, reader), seq);

	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl),
			overlap->hit);
	KUNIT_EXPECT_EQ(test, mnk_read_retry(ivl, seq), overlap->hit);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 1);
}

/* Non-blocking sections use the same test. */
static void nonblock_range_hits_as_far_as_it_overlaps(struct kunit *test)
{
	const struct overlap *overlap = test->param_value;
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, ctx->mm, overlap->start,
					 overlap->length);

	ivl->refuse = true;
	KUNIT_EXPECT_EQ(test, mnk_invalidate_nonblock(ctx->mm, overlap->from,
						      overlap->to),
			overlap->hit ? -EAGAIN : 0);
	ivl->refuse = false;
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl),
			overlap->hit);
}

/* Of neighbours, one page each, exactly those in the range are hit. */
static void invalidate_range_hits_each_neighbour_once(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl[8];
	int from, to, i;

	for (i = 0; i < ARRAY_SIZE(ivl); i++)
		ivl[i] = mnk_ivl_on(ctx, ctx->mm, PAGES(i), PAGE_SIZE);
	for (from = 0; from < ARRAY_SIZE(ivl); from++) {
		for (to = from + 1; to <= ARRAY_SIZE(ivl); to++) {
			mnk_forget(ctx);
			mnk_invalidate(ctx->mm, PAGES(from), PAGES(to));
			for (i = 0; i < ARRAY_SIZE(ivl); i++)
				KUNIT_EXPECT_EQ(test, i >= from && i < to,
						mnk_count(ctx, MNK_INVALIDATE,
							  ivl[i]));
		}
	}
}

#define RANDOM_PAGES	64
#define RANDOM_ROUNDS	200

static unsigned int random_span(struct rnd_state *rnd, unsigned int *first)
{
	*first = prandom_u32_state(rnd) % RANDOM_PAGES;
	return 1 + prandom_u32_state(rnd) % (RANDOM_PAGES / 4);
}

/* Many intervals, changing all the time, against plain arithmetic. */
static void invalidate_range_random_hits_match_arithmetic(struct kunit *test)
{
	unsigned int first[MNK_IVLS], pages[MNK_IVLS];
	struct mnk_ctx *ctx = test->priv;
	unsigned int from, nr, round, i, wrong = 0, hits = 0;
	struct mnk_ivl *ivl[MNK_IVLS];
	struct rnd_state rnd;

	prandom_seed_state(&rnd, 7213);
	for (i = 0; i < MNK_IVLS; i++) {
		pages[i] = random_span(&rnd, &first[i]);
		ivl[i] = mnk_ivl_on(ctx, ctx->mm, PAGES(first[i]),
				    pages[i] * PAGE_SIZE);
	}
	for (round = 0; round < RANDOM_ROUNDS; round++) {
		nr = random_span(&rnd, &from);
		for (i = 0; i < MNK_IVLS; i++)
			atomic_set(&ivl[i]->calls, 0);
		mnk_forget(ctx);
		mnk_invalidate(ctx->mm, PAGES(from), PAGES(from + nr));
		for (i = 0; i < MNK_IVLS; i++) {
			bool hit = first[i] < from + nr &&
				   from < first[i] + pages[i];

			hits += hit;
			wrong += hit != atomic_read(&ivl[i]->calls);
		}
		i = round % MNK_IVLS;
		mmu_interval_notifier_remove(&ivl[i]->mni);
		ivl[i]->inserted = false;
		pages[i] = random_span(&rnd, &first[i]);
		mnk_insert(ivl[i], ctx->mm, PAGES(first[i]),
			   pages[i] * PAGE_SIZE);
	}
	KUNIT_EXPECT_EQ(test, wrong, 0);
	KUNIT_EXPECT_GT(test, hits, RANDOM_ROUNDS);
}

static struct kunit_case mmu_notifier_range_cases[] = {
	KUNIT_CASE_PARAM(invalidate_range_hits_as_far_as_it_overlaps,
			 overlaps_gen_params),
	KUNIT_CASE_PARAM(nonblock_range_hits_as_far_as_it_overlaps,
			 overlaps_gen_params),
	KUNIT_CASE(invalidate_range_hits_each_neighbour_once),
	KUNIT_CASE(invalidate_range_random_hits_match_arithmetic),
	{}
};

static struct kunit_suite mmu_notifier_range_suite = {
	.name = "mmu_notifier_range",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_range_cases,
};

kunit_test_suite(mmu_notifier_range_suite);

MODULE_DESCRIPTION("KUnit tests of MMU notifier ranges");
MODULE_LICENSE("GPL");

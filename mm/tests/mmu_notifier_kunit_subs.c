// SPDX-License-Identifier: GPL-2.0
/*
 * The subscribers of the mmu_notifier KUnit suites: they record what they
 * hear and behave as a test case tells them, see mmu_notifier_kunit.h.
 */
#include <kunit/test-bug.h>
#include <linux/mm.h>

#include "mmu_notifier_kunit.h"

/* Drivers hand over objects that were never cleared (contract 26). */
#define MNK_GARBAGE	0xa5

/*
 * Whole-mm subscribers
 */

static void mnk_record_mm(struct mnk_sub *sub, enum mnk_op op,
			  struct mm_struct *mm, unsigned long start,
			  unsigned long end)
{
	struct mnk_call call = {
		.op = op,
		.who = sub,
		.mm = mm,
		.start = start,
		.end = end,
	};

	mnk_record(sub->ctx, &call);
}

static struct mnk_sub *mnk_to_sub(struct mmu_notifier *mn)
{
	return container_of(mn, struct mnk_sub, mn);
}

static int mnk_op_start(struct mmu_notifier *mn,
			const struct mmu_notifier_range *range)
{
	struct mnk_sub *sub = mnk_to_sub(mn);

	mnk_record_range(sub->ctx, MNK_START, sub, range, 0);
	if (!mmu_notifier_range_blockable(range))
		return sub->refuse ? -EAGAIN : 0;
	mnk_gate_pass(&sub->gate, MNK_START);
	return 0;
}

static void mnk_op_end(struct mmu_notifier *mn,
		       const struct mmu_notifier_range *range)
{
	struct mnk_sub *sub = mnk_to_sub(mn);

	mnk_record_range(sub->ctx, MNK_END, sub, range, 0);
	if (mmu_notifier_range_blockable(range))
		mnk_gate_pass(&sub->gate, MNK_END);
}

static void mnk_op_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct mnk_sub *sub = mnk_to_sub(mn);

	mnk_record_mm(sub, MNK_RELEASE, mm, 0, 0);
	mnk_gate_pass(&sub->gate, MNK_RELEASE);
	if (sub->on_release)
		sub->on_release(sub);
}

static bool mnk_op_flush_young(struct mmu_notifier *mn, struct mm_struct *mm,
			       unsigned long start, unsigned long end)
{
	mnk_record_mm(mnk_to_sub(mn), MNK_FLUSH_YOUNG, mm, start, end);
	return mnk_to_sub(mn)->young;
}

static bool mnk_op_clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
			       unsigned long start, unsigned long end)
{
	mnk_record_mm(mnk_to_sub(mn), MNK_CLEAR_YOUNG, mm, start, end);
	return mnk_to_sub(mn)->young;
}

static bool mnk_op_test_young(struct mmu_notifier *mn, struct mm_struct *mm,
			      unsigned long address)
{
	mnk_record_mm(mnk_to_sub(mn), MNK_TEST_YOUNG, mm, address, 0);
	return mnk_to_sub(mn)->young;
}

/* Not part of mnk_get_ops: it excludes start and end. */
void mnk_op_tlb(struct mmu_notifier *mn, struct mm_struct *mm,
		unsigned long start, unsigned long end)
{
	mnk_record_mm(mnk_to_sub(mn), MNK_TLB, mm, start, end);
}

static struct mnk_sub *mnk_sub_alloc(struct mnk_ctx *ctx)
{
	int i;

	for (i = 0; i < MNK_SUBS; i++) {
		struct mnk_sub *sub = &ctx->subs[i];

		if (sub->used)
			continue;
		sub->used = true;
		return sub;
	}
	return NULL;
}

static struct mmu_notifier *mnk_op_alloc(struct mm_struct *mm)
{
	struct kunit *test = kunit_get_current_test();
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub;

	sub = ctx->fail_alloc ? NULL : mnk_sub_alloc(ctx);
	if (!sub)
		return ERR_PTR(-ENOMEM);
	mnk_record_mm(sub, MNK_ALLOC, mm, 0, 0);
	atomic_inc(&ctx->unfreed);
	return &sub->mn;
}

static void mnk_op_free(struct mmu_notifier *mn)
{
	struct mnk_sub *sub = mnk_to_sub(mn);
	struct mnk_ctx *ctx = sub->ctx;
	unsigned long flags;

	mnk_record_mm(sub, MNK_FREE, mn->mm, 0, 0);
	spin_lock_irqsave(&ctx->wq.lock, flags);
	atomic_dec(&ctx->unfreed);
	wake_up_all_locked(&ctx->wq);
	spin_unlock_irqrestore(&ctx->wq.lock, flags);
}

#define MNK_SUB_OPS							\
	.release = mnk_op_release,					\
	.clear_flush_young = mnk_op_flush_young,			\
	.clear_young = mnk_op_clear_young,				\
	.test_young = mnk_op_test_young,				\
	.invalidate_range_start = mnk_op_start,				\
	.invalidate_range_end = mnk_op_end,				\
	.alloc_notifier = mnk_op_alloc,					\
	.free_notifier = mnk_op_free

const struct mmu_notifier_ops mnk_get_ops = { MNK_SUB_OPS };
const struct mmu_notifier_ops mnk_other_get_ops = { MNK_SUB_OPS };

void mnk_sub_init(struct mnk_ctx *ctx, struct mnk_sub *sub)
{
	memset(&sub->mn, MNK_GARBAGE, sizeof(sub->mn));
	sub->ops = mnk_get_ops;
	sub->ctx = ctx;
	mnk_gate_init(&sub->gate);
}

/* mnk_get_ops of its own, which the caller may change before it registers. */
struct mnk_sub *mnk_sub(struct mnk_ctx *ctx)
{
	struct mnk_sub *sub = mnk_sub_alloc(ctx);

	KUNIT_ASSERT_NOT_NULL(ctx->test, sub);
	sub->mn.ops = &sub->ops;
	return sub;
}

void mnk_register(struct mnk_sub *sub, struct mm_struct *mm)
{
	KUNIT_ASSERT_EQ(sub->ctx->test, 0, mmu_notifier_register(&sub->mn, mm));
	sub->registered = true;
}

struct mnk_sub *mnk_sub_on(struct mnk_ctx *ctx, struct mm_struct *mm)
{
	struct mnk_sub *sub = mnk_sub(ctx);

	mnk_register(sub, mm);
	return sub;
}

unsigned long mnk_do_unregister(void *arg)
{
	struct mnk_sub *sub = arg;

	mmu_notifier_unregister(&sub->mn, sub->mn.mm);
	return 0;
}

void mnk_unregister(struct mnk_sub *sub)
{
	sub->registered = false;
	mnk_run(sub->ctx, mnk_do_unregister, sub);
}

struct mnk_sub *mnk_get(struct mnk_ctx *ctx, const struct mmu_notifier_ops *ops,
			struct mm_struct *mm)
{
	struct mmu_notifier *mn = mmu_notifier_get(ops, mm);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(ctx->test, mn);
	mnk_to_sub(mn)->gets++;
	return mnk_to_sub(mn);
}

unsigned long mnk_do_put(void *arg)
{
	struct mnk_sub *sub = arg;

	sub->gets--;
	mmu_notifier_put(&sub->mn);
	return 0;
}

void mnk_put(struct mnk_sub *sub)
{
	mnk_run(sub->ctx, mnk_do_put, sub);
}

/* free_notifier comes later, but it comes: once, and in task context. */
void mnk_expect_freed(struct mnk_sub *sub)
{
	struct mnk_ctx *ctx = sub->ctx;

	wait_event_timeout(ctx->wq, mnk_count(ctx, MNK_FREE, sub), MNK_TIMEOUT);
	mmu_notifier_synchronize();
	KUNIT_EXPECT_EQ(ctx->test, mnk_count(ctx, MNK_FREE, sub), 1);
	KUNIT_EXPECT_TRUE(ctx->test, mnk_call(ctx, MNK_FREE, sub, 0)->in_task);
}

/*
 * Interval subscribers
 */

static struct mnk_ivl *mnk_to_ivl(struct mmu_interval_notifier *mni)
{
	return container_of(mni, struct mnk_ivl, mni);
}

static bool mnk_ivl_called(struct mnk_ivl *ivl, enum mnk_op op,
			   const struct mmu_notifier_range *range,
			   unsigned long cur_seq)
{
	mnk_record_range(ivl->ctx, op, ivl, range, cur_seq);
	atomic_inc(&ivl->calls);
	if (!mmu_notifier_range_blockable(range)) {
		if (ivl->refuse)
			return false;
	} else {
		mnk_gate_pass(&ivl->gate, op);
	}

	mutex_lock(&ivl->lock);
	if (!ivl->skip_seq)
		mmu_interval_set_seq(&ivl->mni, cur_seq);
	mutex_unlock(&ivl->lock);
	return true;
}

static bool mnk_op_invalidate(struct mmu_interval_notifier *mni,
			      const struct mmu_notifier_range *range,
			      unsigned long cur_seq)
{
	return mnk_ivl_called(mnk_to_ivl(mni), MNK_INVALIDATE, range, cur_seq);
}

static bool
mnk_op_invalidate_start(struct mmu_interval_notifier *mni,
			const struct mmu_notifier_range *range,
			unsigned long cur_seq,
			struct mmu_interval_notifier_finish **finish)
{
	struct mnk_ivl *ivl = mnk_to_ivl(mni);
	struct mnk_finish *fin;
	int next;

	if (!mnk_ivl_called(ivl, MNK_INVALIDATE_START, range, cur_seq))
		return false;
	if (ivl->no_finish)
		return true;
	next = atomic_inc_return(&ivl->next_finish) - 1;
	if (next >= MNK_FINISHES)
		return true;

	fin = &ivl->finish[next];
	memset(&fin->base, MNK_GARBAGE, sizeof(fin->base));
	fin->ivl = ivl;
	fin->ctx = ivl->ctx;
	*finish = &fin->base;
	return true;
}

/* The object is the driver's again: scribble over it as kfree() might. */
static void
mnk_op_invalidate_finish(struct mmu_interval_notifier_finish *finish)
{
	struct mnk_finish *fin = container_of(finish, struct mnk_finish, base);
	struct mnk_call call = {
		.op = MNK_INVALIDATE_FINISH,
		.who = mnk_to_ivl(finish->notifier),
		.mm = finish->notifier->mm,
	};

	mnk_record(fin->ctx, &call);
	atomic_inc(&fin->finished);
	memset(&fin->base, MNK_GARBAGE, sizeof(fin->base));
}

void mnk_ivl_init(struct mnk_ctx *ctx, struct mnk_ivl *ivl)
{
	ivl->ctx = ctx;
	mutex_init(&ivl->lock);
	mnk_gate_init(&ivl->gate);
}

struct mnk_ivl *mnk_ivl(struct mnk_ctx *ctx)
{
	struct mnk_ivl *ivl = NULL;
	int i;

	for (i = 0; !ivl && i < MNK_IVLS; i++)
		if (!ctx->ivls[i].used)
			ivl = &ctx->ivls[i];
	KUNIT_ASSERT_NOT_NULL(ctx->test, ivl);
	ivl->used = true;
	ivl->ops.invalidate = mnk_op_invalidate;
	return ivl;
}

/* ->invalidate stays set: it must be ignored when there are two passes. */
struct mnk_ivl *mnk_ivl_two_pass(struct mnk_ctx *ctx)
{
	struct mnk_ivl *ivl = mnk_ivl(ctx);

	ivl->ops.invalidate_start = mnk_op_invalidate_start;
	ivl->ops.invalidate_finish = mnk_op_invalidate_finish;
	return ivl;
}

void mnk_insert(struct mnk_ivl *ivl, struct mm_struct *mm, unsigned long start,
		unsigned long length)
{
	struct kunit *test = ivl->ctx->test;

	memset(&ivl->mni, MNK_GARBAGE, sizeof(ivl->mni));
	KUNIT_ASSERT_EQ(test, 0,
			mmu_interval_notifier_insert(&ivl->mni, mm, start,
						     length, &ivl->ops));
	ivl->inserted = true;
}

struct mnk_ivl *mnk_ivl_on(struct mnk_ctx *ctx, struct mm_struct *mm,
			   unsigned long start, unsigned long length)
{
	struct mnk_ivl *ivl = mnk_ivl(ctx);

	mnk_insert(ivl, mm, start, length);
	return ivl;
}

unsigned long mnk_do_remove(void *arg)
{
	struct mnk_ivl *ivl = arg;

	mmu_interval_notifier_remove(&ivl->mni);
	return 0;
}

void mnk_remove(struct mnk_ivl *ivl)
{
	ivl->inserted = false;
	mnk_run(ivl->ctx, mnk_do_remove, ivl);
}

unsigned long mnk_do_read_begin(void *arg)
{
	struct mnk_ivl *ivl = arg;

	return mmu_interval_read_begin(&ivl->mni);
}

unsigned long mnk_read_begin(struct mnk_ivl *ivl)
{
	return mnk_run(ivl->ctx, mnk_do_read_begin, ivl);
}

bool mnk_read_retry(struct mnk_ivl *ivl, unsigned long seq)
{
	bool retry;

	mutex_lock(&ivl->lock);
	retry = mmu_interval_read_retry(&ivl->mni, seq);
	mutex_unlock(&ivl->lock);
	return retry;
}

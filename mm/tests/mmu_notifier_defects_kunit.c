// SPDX-License-Identifier: GPL-2.0
/*
 * What mainline's core gets wrong although its callers do everything right:
 * sections that are refused, ->release while both exit and unregister are at
 * it, and what a failure leaves behind.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "mmu_notifier_kunit.h"

static int invalidate_page(struct mnk_ctx *ctx)
{
	return mnk_invalidate_nonblock(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
}

/*
 * Refusal
 */

static unsigned long do_invalidate_page(void *ctx)
{
	return invalidate_page(ctx);
}

/* Mainline forbids such a subscriber an end, and warns. */
static int refuse_page(struct mnk_ctx *ctx)
{
	mnk_warnings(ctx, do_invalidate_page, ctx);
	return (long)ctx->misuse.ret;
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

/* Everybody has an end op: it is called for those that accepted, once. */
static void nonblock_refused_ends_for_accepting_only(struct kunit *test)
{
	const struct refusal *refusal = test->param_value;
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub[3];
	int i;

	for (i = 0; i < ARRAY_SIZE(sub); i++) {
		sub[i] = mnk_sub_on(ctx, ctx->mm);
		sub[i]->refuse = refusal->refuse[i];
	}
	KUNIT_EXPECT_EQ(test, refuse_page(ctx), -EAGAIN);
	KUNIT_EXPECT_EQ(test, ctx->misuse.warnings, 0);
	for (i = 0; i < ARRAY_SIZE(sub); i++) {
		KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub[i]), 1);
		KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub[i]),
				!refusal->refuse[i]);
	}
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(sub); i++)
		KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub[i]),
				refusal->refuse[i] ? 1 : 2);
}

#define MANY	24

struct refuse_many {
	const char *name;
	unsigned int period;	/* every how manyth accepts */
};

static const struct refuse_many refuse_manies[] = {
	{ "every second accepts", 2 },
	{ "every third accepts", 3 },
	{ "the last one accepts", MANY },
};

KUNIT_ARRAY_PARAM_DESC(refuse_many, refuse_manies, name);

/* More than a core may want to remember. */
static void nonblock_refused_by_many_is_paired(struct kunit *test)
{
	const struct refuse_many *many = test->param_value;
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *subs;
	int i;

	subs = kvcalloc(MANY, sizeof(*subs), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, subs);
	for (i = 0; i < MANY; i++) {
		mnk_sub_init(ctx, &subs[i]);
		subs[i].mn.ops = &subs[i].ops;
		subs[i].refuse = (i + 1) % many->period;
		mnk_register(&subs[i], ctx->mm);
	}
	KUNIT_EXPECT_EQ(test, refuse_page(ctx), -EAGAIN);
	for (i = 0; i < MANY; i++) {
		KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, &subs[i]), 1);
		KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, &subs[i]),
				!subs[i].refuse);
	}
	for (i = 0; i < MANY && !ctx->stuck; i++)
		mnk_unregister(&subs[i]);
	if (!ctx->stuck)
		kvfree(subs);
}

/* The end that follows a refusal is as non-blocking as its start. */
static void nonblock_refused_end_may_not_sleep(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *accepts = mnk_sub_on(ctx, ctx->mm);
	struct mnk_sub *refuses = mnk_sub(ctx);

	if (!IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP))
		kunit_skip(test, "only DEBUG_ATOMIC_SLEEP can tell");
	refuses->ops.invalidate_range_end = NULL;
	refuses->refuse = true;
	mnk_register(refuses, ctx->mm);
	KUNIT_EXPECT_EQ(test, invalidate_page(ctx), -EAGAIN);
	KUNIT_EXPECT_TRUE(test, mnk_call(ctx, MNK_START, accepts, 0)->
			  non_block);
	KUNIT_EXPECT_TRUE(test, mnk_call(ctx, MNK_END, accepts, 0)->non_block);
}

/*
 * A whole-mm subscriber refuses after the intervals heard of the section, which
 * is over now. A core that forgot to end it there is given an end.
 */
static void nonblock_refused_by_whole_mm_wakes_readers(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, ctx->mm, MNK_BASE, PAGE_SIZE);
	struct mnk_sub *sub = mnk_sub(ctx);
	struct mmu_notifier_range range;
	struct mnk_task *reader;
	unsigned long seq;

	sub->ops.invalidate_range_end = NULL;
	sub->refuse = true;
	mnk_register(sub, ctx->mm);
	mmu_notifier_range_init_owner(&range, MMU_NOTIFY_CLEAR, 0, ctx->mm,
				      MNK_BASE, MNK_BASE + PAGE_SIZE, NULL);
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			mmu_notifier_invalidate_range_start_nonblock(&range));
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
	reader = mnk_spawn(ctx, mnk_do_read_begin, ivl);
	mnk_expect_returned(ctx, reader);
	if (!completion_done(&reader->done))
		mnk_end(&range);
	seq = mnk_join(ctx, reader);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, seq));
}

/* The same for removal. */
static void nonblock_refused_by_whole_mm_lets_remove(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, ctx->mm, MNK_BASE, PAGE_SIZE);
	struct mnk_sub *sub = mnk_sub(ctx);
	struct mmu_notifier_range range;
	struct mnk_task *remove;

	sub->ops.invalidate_range_end = NULL;
	sub->refuse = true;
	mnk_register(sub, ctx->mm);
	mmu_notifier_range_init_owner(&range, MMU_NOTIFY_CLEAR, 0, ctx->mm,
				      MNK_BASE, MNK_BASE + PAGE_SIZE, NULL);
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			mmu_notifier_invalidate_range_start_nonblock(&range));
	ivl->inserted = false;
	remove = mnk_spawn(ctx, mnk_do_remove, ivl);
	mnk_expect_returned(ctx, remove);
	if (!completion_done(&remove->done))
		mnk_end(&range);
	mnk_join(ctx, remove);
}

/*
 * Release
 */

/* Does a second call of ->release begin while the first has not returned? */
static bool released_twice(struct mnk_sub *sub)
{
	return wait_for_completion_timeout(&sub->gate.entered, MNK_PROBE);
}

static void unregister_during_exit_releases_once(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);
	struct mnk_task *unregister, *exit;

	mnk_gate_arm(&sub->gate, MNK_RELEASE);
	mm->live = false;
	exit = mnk_spawn(ctx, mnk_do_mmput, mm->mm);
	mnk_gate_entered(ctx, &sub->gate);
	sub->registered = false;
	unregister = mnk_spawn(ctx, mnk_do_unregister, sub);
	KUNIT_EXPECT_FALSE(test, released_twice(sub));
	mnk_gate_open(&sub->gate);
	mnk_join(ctx, unregister);
	mnk_join(ctx, exit);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
}

static void exit_during_unregister_releases_once(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);
	struct mnk_task *unregister, *exit;

	mnk_gate_arm(&sub->gate, MNK_RELEASE);
	sub->registered = false;
	unregister = mnk_spawn(ctx, mnk_do_unregister, sub);
	mnk_gate_entered(ctx, &sub->gate);
	mm->live = false;
	exit = mnk_spawn(ctx, mnk_do_mmput, mm->mm);
	KUNIT_EXPECT_FALSE(test, released_twice(sub));
	mnk_gate_open(&sub->gate);
	mnk_join(ctx, unregister);
	mnk_join(ctx, exit);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
}

/* free_notifier is followed by mmdrop(): neither is for bottom halves. */
static void put_last_frees_where_it_may_sleep(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_get(ctx, &mnk_get_ops, ctx->mm);

	if (!IS_ENABLED(CONFIG_PREEMPT_COUNT))
		kunit_skip(test, "only PREEMPT_COUNT can tell");
	mnk_put(sub);
	mnk_expect_freed(sub);
	KUNIT_EXPECT_TRUE(test, mnk_call(ctx, MNK_FREE, sub, 0)->may_sleep);
}

/*
 * What a failure leaves behind
 */

static int insert_bad(struct mmu_interval_notifier *mni, struct mm_struct *mm,
		      unsigned long start, unsigned long length,
		      const struct mmu_interval_notifier_ops *ops)
{
	return mmu_interval_notifier_insert(mni, mm, start, length, ops);
}

static int insert_bad_locked(struct mmu_interval_notifier *mni,
			     struct mm_struct *mm, unsigned long start,
			     unsigned long length,
			     const struct mmu_interval_notifier_ops *ops)
{
	int ret;

	mmap_write_lock(mm);
	ret = mmu_interval_notifier_insert_locked(mni, mm, start, length, ops);
	mmap_write_unlock(mm);
	return ret;
}

struct bad_insert {
	const char *name;
	int (*fn)(struct mmu_interval_notifier *mni, struct mm_struct *mm,
		  unsigned long start, unsigned long length,
		  const struct mmu_interval_notifier_ops *ops);
	unsigned long start;
	unsigned long length;
};

static const struct bad_insert bad_inserts[] = {
	{ "empty", insert_bad, MNK_BASE, 0 },
	{ "wraps", insert_bad, ULONG_MAX - PAGE_SIZE, 2 * PAGE_SIZE },
	{ "empty, mmap_lock held", insert_bad_locked, MNK_BASE, 0 },
	{ "wraps, mmap_lock held", insert_bad_locked, ULONG_MAX, 2 },
};

KUNIT_ARRAY_PARAM_DESC(bad_inserts, bad_inserts, name);

/* [19] kfd_svm and i915 take an object with an mm or a range for a live one. */
static void insert_failed_clears_object(struct kunit *test)
{
	const struct bad_insert *bad = test->param_value;
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = mnk_ivl(ctx);

	memset(&ivl->mni, 0xa5, sizeof(ivl->mni));
	KUNIT_EXPECT_EQ(test, -EOVERFLOW,
			bad->fn(&ivl->mni, ctx->mm, bad->start, bad->length,
				&ivl->ops));
	KUNIT_EXPECT_PTR_EQ(test, ivl->mni.mm, NULL);
	KUNIT_EXPECT_EQ(test, ivl->mni.interval_tree.start, 0);
	KUNIT_EXPECT_EQ(test, ivl->mni.interval_tree.last, 0);
}

static unsigned long do_register(void *arg)
{
	struct mnk_sub *sub = arg;

	return mmu_notifier_register(&sub->mn, sub->data);
}

/* ocxl unregisters what it failed to register. */
static void register_failed_clears_object(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub(ctx);

	sub->data = ctx->mm;
	sub->ops.arch_invalidate_secondary_tlbs = mnk_op_tlb;
	mnk_warnings(ctx, do_register, sub);
	KUNIT_EXPECT_EQ(test, (long)ctx->misuse.ret, -EINVAL);
	KUNIT_EXPECT_PTR_EQ(test, sub->mn.mm, NULL);
}

static void range_init_forgets_old_owner(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);
	struct mmu_notifier_range range;

	memset(&range, 0xa5, sizeof(range));
	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, ctx->mm, MNK_BASE,
				MNK_BASE + PAGE_SIZE);
	mmu_notifier_invalidate_range_start(&range);
	mnk_end(&range);
	KUNIT_EXPECT_PTR_EQ(test, mnk_call(ctx, MNK_START, sub, 0)->owner,
			    NULL);
	KUNIT_EXPECT_PTR_EQ(test, mnk_call(ctx, MNK_END, sub, 0)->owner, NULL);
}

static struct kunit_case mmu_notifier_defects_cases[] = {
	KUNIT_CASE_PARAM(nonblock_refused_ends_for_accepting_only,
			 refusals_gen_params),
	KUNIT_CASE_PARAM(nonblock_refused_by_many_is_paired,
			 refuse_many_gen_params),
	KUNIT_CASE(nonblock_refused_end_may_not_sleep),
	KUNIT_CASE(nonblock_refused_by_whole_mm_wakes_readers),
	KUNIT_CASE(nonblock_refused_by_whole_mm_lets_remove),
	KUNIT_CASE(unregister_during_exit_releases_once),
	KUNIT_CASE(exit_during_unregister_releases_once),
	KUNIT_CASE(put_last_frees_where_it_may_sleep),
	KUNIT_CASE_PARAM(insert_failed_clears_object, bad_inserts_gen_params),
	KUNIT_CASE(register_failed_clears_object),
	KUNIT_CASE(range_init_forgets_old_owner),
	{}
};

static struct kunit_suite mmu_notifier_defects_suite = {
	.name = "mmu_notifier_defects",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_defects_cases,
};

kunit_test_suite(mmu_notifier_defects_suite);

MODULE_DESCRIPTION("KUnit tests of what MMU notifiers used to get wrong");
MODULE_LICENSE("GPL");

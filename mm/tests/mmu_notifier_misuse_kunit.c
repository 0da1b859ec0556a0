// SPDX-License-Identifier: GPL-2.0
/*
 * Calls that are bugs of the caller: the core warns once, returns an error
 * where it can, and goes on as if nothing had been asked. What would not be
 * survived by a core that obeys is in mmu_notifier_fatal_kunit.c.
 *
 * A case that finds the core to have obeyed repairs what it can, so that the
 * next ones run. The mms have one more pin than they need meanwhile.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "mmu_notifier_kunit.h"

#define FAR_AWAY	(MNK_BASE + SZ_16M)

static int mm_count(struct mnk_mm *mm)
{
	return atomic_read(&mm->mm->mm_count);
}

/* Whatever has been tried: the next section is as any other. */
static void expect_paired(struct mnk_ctx *ctx, struct mnk_sub *sub)
{
	mnk_forget(ctx);
	mnk_invalidate(sub->mn.mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(ctx->test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(ctx->test, mnk_count(ctx, MNK_END, sub), 1);
}

static unsigned long do_register(void *arg)
{
	struct mnk_sub *sub = arg;

	return mmu_notifier_register(&sub->mn, sub->data);
}

/* Registration waits for all sections: it would notice one that was leaked. */
static void expect_registers(struct mnk_ctx *ctx, struct mm_struct *mm)
{
	struct mnk_sub *sub = mnk_sub(ctx);

	sub->data = mm;
	KUNIT_EXPECT_EQ(ctx->test, 0, mnk_run(ctx, do_register, sub));
	sub->registered = !ctx->stuck;
	if (sub->registered)
		expect_paired(ctx, sub);
}

/*
 * Registration
 */

static void register_twice_fails_and_changes_nothing(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);
	struct hlist_node link = sub->mn.hlist;
	int before = mm_count(mm);

	sub->data = mm->mm;
	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, do_register, sub), 0);
	KUNIT_EXPECT_EQ(test, (long)ctx->misuse.ret, -EEXIST);
	KUNIT_EXPECT_EQ(test, mm_count(mm), before);
	if (!ctx->misuse.ret) {
		sub->mn.hlist = link;
		mmdrop(mm->mm);
	}
	KUNIT_EXPECT_PTR_EQ(test, sub->mn.mm, mm->mm);
	expect_paired(ctx, sub);
	mnk_unregister(sub);
	expect_registers(ctx, mm->mm);
}

static void unregister_twice_warns_and_drops_nothing(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);
	int before;

	mnk_unregister(sub);
	mmgrab(mm->mm);
	before = mm_count(mm);
	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, mnk_do_unregister, sub), 0);
	KUNIT_EXPECT_EQ(test, mm_count(mm), before);
	if (mm_count(mm) == before)
		mmdrop(mm->mm);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
	mnk_register(sub, mm->mm);
	expect_paired(ctx, sub);
}

static unsigned long do_unregister_data(void *arg)
{
	struct mnk_sub *sub = arg;

	mmu_notifier_unregister(&sub->mn, sub->data);
	return 0;
}

static void unregister_from_other_mm_warns_and_stays(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx), *other = mnk_mm_empty(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);
	int before;

	mnk_sub_on(ctx, other->mm);
	mmgrab(other->mm);
	before = mm_count(other);
	sub->data = other->mm;
	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, do_unregister_data, sub), 0);
	KUNIT_EXPECT_EQ(test, mm_count(other), before);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 0);
	expect_paired(ctx, sub);
	sub->registered = !hlist_unhashed(&sub->mn.hlist);
	mmdrop(sub->registered ? other->mm : mm->mm);
}

static unsigned long do_put(void *arg)
{
	struct mnk_sub *sub = arg;

	mmu_notifier_put(&sub->mn);
	return 0;
}

static void put_after_unregister_warns_and_frees_nothing(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);
	int warnings;

	mnk_unregister(sub);
	mmgrab(mm->mm);
	atomic_inc(&ctx->unfreed);
	warnings = mnk_warnings(ctx, do_put, sub);
	KUNIT_EXPECT_NE(test, warnings, 0);
	mmu_notifier_synchronize();
	if (!warnings)
		wait_event_timeout(ctx->wq, mnk_count(ctx, MNK_FREE, sub),
				   MNK_TIMEOUT);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_FREE, sub), 0);
	if (!mnk_count(ctx, MNK_FREE, sub)) {
		atomic_dec(&ctx->unfreed);
		mmdrop(mm->mm);
	}
	expect_registers(ctx, mm->mm);
}

/* The object of get() is on its way to free_notifier. */
static void unregister_after_put_warns_and_releases_nothing(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_sub *sub = mnk_get(ctx, &mnk_get_ops, mm->mm);
	int warnings;

	mmgrab(mm->mm);
	mnk_put(sub);
	warnings = mnk_warnings(ctx, mnk_do_unregister, sub);
	KUNIT_EXPECT_NE(test, warnings, 0);
	if (warnings)
		mmdrop(mm->mm);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 0);
	mnk_expect_freed(sub);
	expect_registers(ctx, mm->mm);
}

/*
 * Sections
 */

static unsigned long do_nonblock_section(void *arg)
{
	struct mnk_section *section = arg;
	int ret;

	ret = mmu_notifier_invalidate_range_start_nonblock(&section->range);
	if (!ret)
		mmu_notifier_invalidate_range_end(&section->range);
	return ret;
}

struct bad_range {
	const char *name;
	unsigned long start;
	unsigned long end;
};

static const struct bad_range bad_ranges[] = {
	{ "empty", MNK_BASE, MNK_BASE },
	{ "empty at zero", 0, 0 },
	{ "inverted", MNK_BASE + PAGE_SIZE, MNK_BASE },
	{ "inverted to zero", MNK_BASE, 0 },
};

KUNIT_ARRAY_PARAM_DESC(bad_ranges, bad_ranges, name);

static void bad_range_disturbs_nobody(struct kunit *test,
				      unsigned long (*fn)(void *section))
{
	const struct bad_range *bad = test->param_value;
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, ctx->mm, FAR_AWAY, PAGE_SIZE);
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);
	struct mnk_section *section =
		mnk_section(ctx, ctx->mm, bad->start, bad->end);
	unsigned long seq = mnk_read_begin(ivl);

	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, fn, section), 0);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(ivl, seq));
	KUNIT_EXPECT_EQ(test, mnk_read_begin(ivl), seq);
	expect_paired(ctx, sub);
	mnk_remove(ivl);
	expect_registers(ctx, ctx->mm);
}

static void start_bad_range_is_not_announced(struct kunit *test)
{
	bad_range_disturbs_nobody(test, mnk_do_section);
}

static void start_nonblock_bad_range_fails(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;

	bad_range_disturbs_nobody(test, do_nonblock_section);
	KUNIT_EXPECT_EQ(test, (long)ctx->misuse.ret, -EINVAL);
}

static unsigned long do_start_twice(void *arg)
{
	struct mnk_section *section = arg;

	mmu_notifier_invalidate_range_start(&section->range);
	mmu_notifier_invalidate_range_start(&section->range);
	mmu_notifier_invalidate_range_end(&section->range);
	return 0;
}

/* In an mm of its own: what is left of the first start goes with it. */
static void start_twice_warns(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);
	struct mnk_section *section =
		mnk_section(ctx, mm->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);

	if (!IS_ENABLED(CONFIG_DEBUG_VM))
		kunit_skip(test, "only DEBUG_VM can tell");
	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, do_start_twice, section), 0);
	expect_paired(ctx, sub);
}

static unsigned long do_end(void *arg)
{
	struct mnk_section *section = arg;

	mmu_notifier_invalidate_range_end(&section->range);
	return 0;
}

static void end_without_start_warns_and_is_not_heard(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);
	struct mnk_section *section =
		mnk_section(ctx, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);

	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, do_end, section), 0);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
	expect_paired(ctx, sub);
	expect_registers(ctx, ctx->mm);
}

static void end_without_start_unused_mm_warns(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_section *section =
		mnk_section(ctx, mm->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);

	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, do_end, section), 0);
	expect_registers(ctx, mm->mm);
}

static unsigned long do_end_twice(void *arg)
{
	struct mnk_section *section = arg;

	mmu_notifier_invalidate_range_start(&section->range);
	mmu_notifier_invalidate_range_end(&section->range);
	mmu_notifier_invalidate_range_end(&section->range);
	return 0;
}

static void end_twice_warns_and_is_heard_once(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);
	struct mnk_section *section =
		mnk_section(ctx, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);

	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, do_end_twice, section), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 1);
	expect_paired(ctx, sub);
	expect_registers(ctx, ctx->mm);
}

static int refuse_with_eagain(struct mmu_notifier *mn,
			      const struct mmu_notifier_range *range)
{
	mnk_get_ops.invalidate_range_start(mn, range);
	return -EAGAIN;
}

/* Only a non-blocking section can be refused: this one takes place. */
static void start_refused_when_blockable_warns_and_pairs(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *before = mnk_sub_on(ctx, ctx->mm);
	struct mnk_sub *sub = mnk_sub(ctx);
	struct mnk_section *section =
		mnk_section(ctx, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	struct mnk_sub *after;

	sub->ops.invalidate_range_start = refuse_with_eagain;
	mnk_register(sub, ctx->mm);
	after = mnk_sub_on(ctx, ctx->mm);
	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, mnk_do_section, section), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, NULL), 3);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, before), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, after), 1);
}

static int refuse_with_einval(struct mmu_notifier *mn,
			      const struct mmu_notifier_range *range)
{
	mnk_get_ops.invalidate_range_start(mn, range);
	return -EINVAL;
}

static void nonblock_refused_with_other_error_is_eagain(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *accepts = mnk_sub_on(ctx, ctx->mm);
	struct mnk_sub *sub = mnk_sub(ctx);
	struct mnk_section *section =
		mnk_section(ctx, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);

	sub->ops.invalidate_range_start = refuse_with_einval;
	sub->ops.invalidate_range_end = NULL;
	mnk_register(sub, ctx->mm);
	KUNIT_EXPECT_NE(test, 0,
			mnk_warnings(ctx, do_nonblock_section, section));
	KUNIT_EXPECT_EQ(test, (long)ctx->misuse.ret, -EAGAIN);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, accepts), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, accepts), 1);
}

/*
 * Intervals
 */

static unsigned long do_insert(void *arg)
{
	struct mnk_ivl *ivl = arg;

	return mmu_interval_notifier_insert(&ivl->mni, ivl->mni.mm, MNK_BASE,
					    PAGE_SIZE, &ivl->ops);
}

static void insert_twice_fails_and_changes_nothing(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, mm->mm, MNK_BASE, PAGE_SIZE);
	struct mmu_interval_notifier before = ivl->mni;
	int count = mm_count(mm);

	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, do_insert, ivl), 0);
	KUNIT_EXPECT_EQ(test, (long)ctx->misuse.ret, -EEXIST);
	KUNIT_EXPECT_EQ(test, mm_count(mm), count);
	if (!ctx->misuse.ret) {
		ivl->mni = before;
		mmdrop(mm->mm);
	}
	KUNIT_EXPECT_PTR_EQ(test, ivl->mni.mm, mm->mm);
	mnk_invalidate(mm->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
	mnk_remove(ivl);
	mnk_insert(ivl, mm->mm, MNK_BASE, PAGE_SIZE);
}

static void remove_twice_warns_and_drops_nothing(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, mm->mm, MNK_BASE, PAGE_SIZE);
	int before;

	mnk_remove(ivl);
	mmgrab(mm->mm);
	before = mm_count(mm);
	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, mnk_do_remove, ivl), 0);
	KUNIT_EXPECT_EQ(test, mm_count(mm), before);
	if (mm_count(mm) == before)
		mmdrop(mm->mm);
	mnk_insert(ivl, mm->mm, MNK_BASE, PAGE_SIZE);
	mnk_invalidate(mm->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
}

static void insert_without_finish_op_fails(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = mnk_ivl_two_pass(ctx);

	ivl->ops.invalidate_finish = NULL;
	ivl->mni.mm = ctx->mm;
	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, do_insert, ivl), 0);
	KUNIT_EXPECT_EQ(test, (long)ctx->misuse.ret, -EINVAL);
	mnk_invalidate(ctx->mm, FAR_AWAY, FAR_AWAY + PAGE_SIZE);
	if (!ctx->misuse.ret)
		mnk_remove(ivl);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
}

static struct kunit_case mmu_notifier_misuse_cases[] = {
	KUNIT_CASE(register_twice_fails_and_changes_nothing),
	KUNIT_CASE(unregister_twice_warns_and_drops_nothing),
	KUNIT_CASE(unregister_from_other_mm_warns_and_stays),
	KUNIT_CASE(unregister_after_put_warns_and_releases_nothing),
	KUNIT_CASE(put_after_unregister_warns_and_frees_nothing),
	KUNIT_CASE_PARAM(start_bad_range_is_not_announced,
			 bad_ranges_gen_params),
	KUNIT_CASE_PARAM(start_nonblock_bad_range_fails,
			 bad_ranges_gen_params),
	KUNIT_CASE(start_twice_warns),
	KUNIT_CASE(start_refused_when_blockable_warns_and_pairs),
	KUNIT_CASE(nonblock_refused_with_other_error_is_eagain),
	KUNIT_CASE(end_without_start_warns_and_is_not_heard),
	KUNIT_CASE(end_without_start_unused_mm_warns),
	KUNIT_CASE(end_twice_warns_and_is_heard_once),
	KUNIT_CASE(insert_twice_fails_and_changes_nothing),
	KUNIT_CASE(insert_without_finish_op_fails),
	KUNIT_CASE(remove_twice_warns_and_drops_nothing),
	{}
};

static struct kunit_suite mmu_notifier_misuse_suite = {
	.name = "mmu_notifier_misuse",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_misuse_cases,
};

kunit_test_suite(mmu_notifier_misuse_suite);

MODULE_DESCRIPTION("KUnit tests of mistakes in the use of MMU notifiers");
MODULE_LICENSE("GPL");

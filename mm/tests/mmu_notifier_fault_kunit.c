// SPDX-License-Identifier: GPL-2.0
/*
 * Every slab allocation of a subscription fails in turn: an error, nothing
 * leaked, and an address space in which the next attempt succeeds.
 *
 * failslab spares allocations that may sleep, unless told otherwise by its file
 * in debugfs, which is not mounted yet. The value is what the inode points to.
 * Only tasks with fail_nth set are hit all the same.
 *
 * Per-CPU memory does not come from the slab, and nothing can make
 * alloc_percpu() fail: that error path is not covered here.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/mm.h>

#include "mmu_notifier_kunit.h"

/* More than anything allocates */
#define MANY	32

/* CONFIG_FAILSLAB, in debugfs */
struct failslab {
	bool *ignore_gfp_wait;
	unsigned long *verbose;
	bool old_ignore_gfp_wait;
	unsigned long old_verbose;
};

static struct failslab failslab;

static void *failslab_value(struct dentry *dir, const char *name)
{
	struct dentry *dentry = debugfs_lookup(name, dir);
	void *value;

	if (!dentry)
		return NULL;
	value = d_inode(dentry)->i_private;
	dput(dentry);
	return value;
}

static int fault_suite_init(struct kunit_suite *suite)
{
	struct dentry *dir = debugfs_lookup("failslab", NULL);

	if (!dir)
		return -ENODEV;
	failslab.ignore_gfp_wait = failslab_value(dir, "ignore-gfp-wait");
	failslab.verbose = failslab_value(dir, "verbose");
	dput(dir);
	if (!failslab.ignore_gfp_wait || !failslab.verbose)
		return -ENODEV;

	failslab.old_ignore_gfp_wait = *failslab.ignore_gfp_wait;
	failslab.old_verbose = *failslab.verbose;
	WRITE_ONCE(*failslab.ignore_gfp_wait, false);
	WRITE_ONCE(*failslab.verbose, 0);
	return 0;
}

static void fault_suite_exit(struct kunit_suite *suite)
{
	WRITE_ONCE(*failslab.ignore_gfp_wait, failslab.old_ignore_gfp_wait);
	WRITE_ONCE(*failslab.verbose, failslab.old_verbose);
}

/*
 * What is tried, on objects that are garbage after a failure
 */

static int try_register(struct mnk_sub *sub, struct mnk_ivl *ivl,
			struct mm_struct *mm)
{
	return mmu_notifier_register(&sub->mn, mm);
}

static int try_register_locked(struct mnk_sub *sub, struct mnk_ivl *ivl,
			       struct mm_struct *mm)
{
	int ret;

	mmap_write_lock(mm);
	ret = __mmu_notifier_register(&sub->mn, mm);
	mmap_write_unlock(mm);
	return ret;
}

static int try_get(struct mnk_sub *sub, struct mnk_ivl *ivl,
		   struct mm_struct *mm)
{
	struct mmu_notifier *mn = mmu_notifier_get(&mnk_get_ops, mm);

	if (IS_ERR(mn))
		return PTR_ERR(mn);
	container_of(mn, struct mnk_sub, mn)->gets++;
	return 0;
}

static int try_insert(struct mnk_sub *sub, struct mnk_ivl *ivl,
		      struct mm_struct *mm)
{
	return mmu_interval_notifier_insert(&ivl->mni, mm, MNK_BASE, PAGE_SIZE,
					    &ivl->ops);
}

static int try_insert_locked(struct mnk_sub *sub, struct mnk_ivl *ivl,
			     struct mm_struct *mm)
{
	int ret;

	mmap_write_lock(mm);
	ret = mmu_interval_notifier_insert_locked(&ivl->mni, mm, MNK_BASE,
						  PAGE_SIZE, &ivl->ops);
	mmap_write_unlock(mm);
	return ret;
}

struct attempt {
	const char *name;
	int (*fn)(struct mnk_sub *sub, struct mnk_ivl *ivl,
		  struct mm_struct *mm);
	enum { USES_SUB, USES_GET, USES_IVL } uses;
};

static const struct attempt attempts[] = {
	{ "register", try_register, USES_SUB },
	{ "register, mmap_lock held", try_register_locked, USES_SUB },
	{ "get", try_get, USES_GET },
	{ "insert", try_insert, USES_IVL },
	{ "insert, mmap_lock held", try_insert_locked, USES_IVL },
};

KUNIT_ARRAY_PARAM_DESC(attempts, attempts, name);

static void subscribe_allocation_fails_leaves_mm_usable(struct kunit *test)
{
	const struct attempt *attempt = test->param_value;
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm_empty(ctx);
	struct mnk_sub *sub = attempt->uses == USES_SUB ? mnk_sub(ctx) : NULL;
	struct mnk_ivl *ivl = attempt->uses == USES_IVL ? mnk_ivl(ctx) : NULL;
	int before = atomic_read(&mm->mm->mm_count);
	unsigned int nth, left, failed = 0;
	int ret = -ENOMEM;

	for (nth = 1; ret && nth < MANY; nth++) {
		WRITE_ONCE(current->fail_nth, nth);
		ret = attempt->fn(sub, ivl, mm->mm);
		left = READ_ONCE(current->fail_nth);
		WRITE_ONCE(current->fail_nth, 0);
		if (!ret)
			break;
		failed++;
		KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
		KUNIT_EXPECT_EQ(test, left, 0);
		KUNIT_EXPECT_EQ(test, atomic_read(&mm->mm->mm_count), before);
		KUNIT_EXPECT_FALSE(test, mm_has_notifiers(mm->mm));
		mnk_forget(ctx);
		mnk_invalidate(mm->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
		KUNIT_EXPECT_EQ(test, ctx->nr_calls, 0);
	}
	if (sub)
		sub->registered = !ret;
	if (ivl)
		ivl->inserted = !ret;
	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_NE(test, failed, 0);
	KUNIT_EXPECT_GT(test, atomic_read(&mm->mm->mm_count), before);

	mnk_forget(ctx);
	mnk_invalidate(mm->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, ctx->nr_calls, ivl ? 1 : 2);
}

static struct kunit_case mmu_notifier_fault_cases[] = {
	KUNIT_CASE_PARAM(subscribe_allocation_fails_leaves_mm_usable,
			 attempts_gen_params),
	{}
};

static struct kunit_suite mmu_notifier_fault_suite = {
	.name = "mmu_notifier_fault",
	.suite_init = fault_suite_init,
	.suite_exit = fault_suite_exit,
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_fault_cases,
};

kunit_test_suite(mmu_notifier_fault_suite);

MODULE_DESCRIPTION("KUnit tests of failed allocations in MMU notifiers");
MODULE_LICENSE("GPL");

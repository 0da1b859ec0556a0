// SPDX-License-Identifier: GPL-2.0
/*
 * Compare the ptes with the owner's page table.
 *
 * A pte is looked at first, then what the owner maps, and at last whether an
 * invalidation came in between: then all is done again. So sections that run in
 * parallel make no pte look stale. The page table is only read: nothing is
 * faulted in and no young bit changes.
 */
#include <linux/mm.h>
#include <linux/pagewalk.h>
#include <linux/pgtable.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "tmn.h"

/* A copy of the pte at @index. */
static bool tmn_check_sample(struct tmn_mmu *mmu, unsigned long index,
			     struct tmn_pte *copy)
{
	struct tmn_pte *pte;

	spin_lock(&mmu->guard->lock);
	pte = xa_load(&mmu->ptes, index);
	if (pte)
		*copy = *pte;
	spin_unlock(&mmu->guard->lock);
	return pte && !pte->leaving;
}

static bool tmn_check_same(const struct folio_walk *walk, struct page *page)
{
	if (walk->page)
		return walk->page == page;
	/* One of the two zero pages, which are never writable. */
	return is_zero_page(page) || is_huge_zero_folio(page_folio(page));
}

static bool tmn_check_writable(const struct folio_walk *walk,
			       const struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_WRITE))
		return false;
	switch (walk->level) {
	case FW_LEVEL_PTE:
		return pte_write(walk->pte);
	case FW_LEVEL_PMD:
		return pmd_write(walk->pmd);
	case FW_LEVEL_PUD:
		return pud_write(walk->pud);
	}
	return false;
}

/* Is @pte stale? Under the owner's mmap_lock. */
static enum tmn_stale tmn_check_compare(struct tmn_mmu *mmu, unsigned long addr,
					const struct tmn_pte *pte)
{
	struct vm_area_struct *vma = vma_lookup(mmu->mm, addr);
	enum tmn_stale reason = TMN_STALE_NONE;
	struct folio_walk walk;

	if (!vma || !vma_is_accessible(vma))
		return TMN_STALE_UNMAPPED;
	if (!folio_walk_start(&walk, vma, addr, FW_ZEROPAGE))
		return TMN_STALE_UNMAPPED;
	if (!tmn_check_same(&walk, pte->page))
		reason = TMN_STALE_OTHER_PAGE;
	else if (pte->writable && !tmn_check_writable(&walk, vma))
		reason = TMN_STALE_WRITABLE;
	folio_walk_end(&walk, vma);
	return reason;
}

/*
 * Look at the pte at @addr when the owner has no more users. It is stale from
 * the moment that exit has announced itself or, unannounced, has unmapped all.
 */
static int tmn_check_exited(struct tmn_mmu *mmu, unsigned long addr,
			    struct tmn_pte *pte, enum tmn_stale *reason)
{
	bool gone = mm_flags_test(MMF_OOM_SKIP, mmu->mm);

	if (READ_ONCE(mmu->guard->released))
		gone = true;
	if (!tmn_check_sample(mmu, PHYS_PFN(addr), pte))
		return -ENOENT;
	*reason = gone ? TMN_STALE_UNMAPPED : TMN_STALE_NONE;
	return 0;
}

/*
 * Look at the pte at @addr once, with the owner's page table in existence.
 * Returns -ENOENT if there is none, -EAGAIN if it was invalidated meanwhile.
 */
static int tmn_check_once(struct tmn_mmu *mmu, unsigned long addr,
			  struct tmn_pte *pte, enum tmn_stale *reason)
{
	unsigned long seq;
	bool retry;
	int err;

	if (fatal_signal_pending(current))
		return -EINTR;
	err = mmu->dead ? -ENOENT : mmu->ops->begin(mmu, addr, &seq);
	if (err)
		return err;
	if (!tmn_check_sample(mmu, PHYS_PFN(addr), pte))
		return -ENOENT;
	if (mmap_read_lock_killable(mmu->mm))
		return -EINTR;
	*reason = tmn_check_compare(mmu, addr, pte);
	mmap_read_unlock(mmu->mm);

	spin_lock(&mmu->guard->lock);
	retry = mmu->ops->retry(mmu, addr, seq);
	spin_unlock(&mmu->guard->lock);
	return retry ? -EAGAIN : 0;
}

static int tmn_check_pte(struct tmn_mmu *mmu, unsigned long addr,
			 struct tmn_pte *pte, enum tmn_stale *reason)
{
	int err;

	if (!mmget_not_zero(mmu->mm))
		return tmn_check_exited(mmu, addr, pte, reason);
	do {
		down_read(&mmu->alive);
		err = tmn_check_once(mmu, addr, pte, reason);
		up_read(&mmu->alive);
		cond_resched();
	} while (err == -EAGAIN);
	mmput(mmu->mm);
	return err;
}

/**
 * tmn_check - count the stale ptes
 * @mmu: whose
 * @check: the result
 *
 * Ptes that come or go while this runs are counted or not.
 *
 * Context: sleeps, no mmap_lock of any mm may be held.
 * Return: 0 or an error.
 */
int tmn_check(struct tmn_mmu *mmu, struct tmn_check *check)
{
	enum tmn_stale reason;
	unsigned long index;
	struct tmn_pte pte;
	void *entry;
	int err;

	memset(check, 0, sizeof(*check));
	xa_for_each(&mmu->ptes, index, entry) {
		err = tmn_check_pte(mmu, PFN_PHYS(index), &pte, &reason);
		if (err == -ENOENT)
			continue;
		if (err)
			return err;
		check->ptes++;
		check->writable += pte.writable;
		if (reason == TMN_STALE_NONE)
			continue;
		if (!check->stale++) {
			check->reason = reason;
			check->addr = PFN_PHYS(index);
		}
	}
	return 0;
}

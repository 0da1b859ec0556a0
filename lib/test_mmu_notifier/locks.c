// SPDX-License-Identifier: GPL-2.0
/*
 * Which locks of the memory management the calling task holds, as lockdep knows
 * it. Most are known by the name of their class only: whose they are cannot be
 * told from a callback.
 */
#include <linux/lockdep.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "tmn.h"

static const struct {
	const char *name;
	u32 write;
	u32 read;
} tmn_locks[] = {
	{ "&mapping->i_mmap_rwsem", TMN_LOCK_I_MMAP_WRITE,
	  TMN_LOCK_I_MMAP_READ },
	{ "&hugetlbfs_i_mmap_rwsem_key", TMN_LOCK_I_MMAP_WRITE,
	  TMN_LOCK_I_MMAP_READ },
	{ "&anon_vma->rwsem", TMN_LOCK_ANON_VMA_WRITE,
	  TMN_LOCK_ANON_VMA_READ },
	{ "vm_lock", TMN_LOCK_VMA, TMN_LOCK_VMA },
	{ "ptlock_ptr(ptdesc)", TMN_LOCK_PTE, TMN_LOCK_PTE },
	{ "&mm->page_table_lock", TMN_LOCK_PTE, TMN_LOCK_PTE },
};

static u32 tmn_lock_held(const struct held_lock *held, struct mm_struct *mm)
{
	const struct lockdep_map *map = held->instance;
	int i;

	if (map == &mm->mmap_lock.dep_map)
		return held->read ? TMN_LOCK_MMAP_READ : TMN_LOCK_MMAP_WRITE;
	for (i = 0; i < ARRAY_SIZE(tmn_locks); i++)
		if (!strcmp(map->name, tmn_locks[i].name))
			return held->read ? tmn_locks[i].read :
					    tmn_locks[i].write;
	return 0;
}

/**
 * tmn_locks_held - what does this task hold?
 * @mm: whose mmap_lock is meant
 *
 * Return: TMN_LOCK_*.
 */
u32 tmn_locks_held(struct mm_struct *mm)
{
	u32 locks = 0;
	int i;

	for (i = 0; i < current->lockdep_depth; i++)
		locks |= tmn_lock_held(&current->held_locks[i], mm);
	return locks;
}

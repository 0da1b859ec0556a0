/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __MMU_NOTIFIER_BENCH_H
#define __MMU_NOTIFIER_BENCH_H

#include <linux/types.h>

struct mm_struct;
struct mmu_interval_notifier;
struct mmu_notifier;

#define BENCH_BASE		0x10000000UL

/* So many are timed at once */
#define BENCH_SECTIONS		10000

#define BENCH_MAX_SAMPLES	400

struct bench_samples {
	u64 ns[BENCH_MAX_SAMPLES];
	unsigned int nr;
};

/* Figures */
void bench_settle(void);
void bench_sample(struct bench_samples *samples, u64 start);
void bench_report(const char *name, const char *param, unsigned long value,
		  const char *unit, u64 number);
void bench_report_ns(const char *name, const char *param, unsigned long value,
		     struct bench_samples *samples, unsigned int loops);
void bench_report_distribution(const char *name, struct bench_samples *samples);

/*
 * Subscriptions with empty callbacks, intervals, the first of which is that at
 * BENCH_BASE, address spaces, and their sections
 */
extern struct mmu_notifier bench_subs[11];
int bench_subscribe(struct mmu_notifier *subscription, struct mm_struct *mm);
int bench_insert(struct mmu_interval_notifier *interval, struct mm_struct *mm,
		 unsigned int nr);
struct mm_struct *bench_mm_with_vmas(unsigned int nr);
void bench_section(struct mm_struct *mm, unsigned long addr);
void bench_sections(struct mm_struct *mm, unsigned long addr,
		    struct bench_samples *samples);

/* Jobs */
int bench_section_unused(void);
int bench_section_one(void);
int bench_section_many(void);
int bench_section_parallel(void);
int bench_section_intervals(void);
int bench_read_begin_storm(void);
int bench_remove_storm(void);
int bench_grace_period(void);
int bench_register(void);
int bench_register_signal(void);
int bench_unregister_idle(void);
int bench_unregister_stuck(void);
int bench_exit_release(void);
int bench_registry_bytes(void);
int bench_struct_bytes(void);

#endif /* __MMU_NOTIFIER_BENCH_H */

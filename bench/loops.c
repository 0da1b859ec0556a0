// SPDX-License-Identifier: GPL-2.0
/*
 * What user space pays for the sections of an address space that nobody has
 * subscribed to: write faults that copy a page, and munmap() of a page. The only
 * program of its machine, which it powers off; its lines are those of
 * mm/tests/mmu_notifier_bench.c.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

#define PAGES	1000
#define SAMPLES	25
#define BASE	((char *)0x10000000)

static size_t page_size;

static void die(const char *what)
{
	perror(what);
	reboot(RB_AUTOBOOT);
}

/* Pages with a hole behind each, so that they are mappings of their own */
static char *page(unsigned int nr)
{
	return BASE + 2 * nr * page_size;
}

static void map_all(void)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	for (unsigned int i = 0; i < PAGES; i++) {
		if (mmap(page(i), page_size, PROT_READ | PROT_WRITE, flags, -1,
			 0) == MAP_FAILED)
			die("mmap");
	}
}

/* The zero page comes first, and is copied then */
static void read_all(void)
{
	for (unsigned int i = 0; i < PAGES; i++)
		(void)*(volatile char *)page(i);
}

static void write_all(void)
{
	for (unsigned int i = 0; i < PAGES; i++)
		*(volatile char *)page(i) = 1;
}

static void unmap_all(void)
{
	for (unsigned int i = 0; i < PAGES; i++) {
		if (munmap(page(i), page_size))
			die("munmap");
	}
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static uint64_t time_of(void (*work)(void))
{
	uint64_t start = now();

	work();
	return now() - start;
}

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

static void report(const char *name, uint64_t *samples)
{
	qsort(samples, SAMPLES, sizeof(*samples), compare);
	printf("bench: %s pages=%u ns %.3f\n", name, PAGES,
	       (double)samples[SAMPLES / 2] / PAGES);
}

int main(void)
{
	static uint64_t copies[SAMPLES], unmaps[SAMPLES];

	page_size = sysconf(_SC_PAGESIZE);
	for (unsigned int i = 0; i < SAMPLES; i++) {
		map_all();
		read_all();
		copies[i] = time_of(write_all);
		unmaps[i] = time_of(unmap_all);
	}
	report("cow_fault_unused", copies);
	report("munmap_unused", unmaps);
	puts("bench: done");
	fflush(stdout);
	reboot(RB_AUTOBOOT);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * How long KVM_CREATE_VM takes and the close() that destroys a VM
 *
 *   - in a process of few and of many VMAs, for its first VM and for one more,
 *   - for the Nth VM of a process that keeps all of them.
 *
 * Each line has name, parameter, unit, median, minimum and maximum, with tabs
 * between them. VMs stay empty, so that no more of the kernel takes part.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"

#define MAX_SAMPLES	32
#define MAX_VMS		64
#define ROUNDS		3
/* What a virtual machine monitor maps for each VM, more or less */
#define VMAS_PER_VM	10
#define NTH_VMAS	1000

static int kvm;

struct samples {
	unsigned int nr;
	uint64_t nsecs[MAX_SAMPLES];
};

static uint64_t now_nsecs(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static int compare(const void *left, const void *right)
{
	uint64_t l = *(const uint64_t *)left, r = *(const uint64_t *)right;

	return l < r ? -1 : l > r;
}

static void report(const char *name, const char *param, int value,
		   struct samples *samples)
{
	uint64_t *nsecs = samples->nsecs;

	qsort(nsecs, samples->nr, sizeof(*nsecs), compare);
	printf("%s\t%s=%d\tus\t%.1f\t%.1f\t%.1f\n", name, param, value,
	       nsecs[samples->nr / 2] / 1000.0, nsecs[0] / 1000.0,
	       nsecs[samples->nr - 1] / 1000.0);
}

static void add(struct samples *samples, uint64_t nsecs)
{
	samples->nsecs[samples->nr++] = nsecs;
}

static int create(struct samples *samples)
{
	uint64_t start = now_nsecs();
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);

	add(samples, now_nsecs() - start);
	if (vm < 0)
		ksft_exit_fail_perror("KVM_CREATE_VM");
	return vm;
}

static void destroy(int vm, struct samples *samples)
{
	uint64_t start = now_nsecs();

	close(vm);
	add(samples, now_nsecs() - start);
}

/*
 * Map a page, in a VMA and with an anon_vma of its own: the hole behind it keeps
 * both from being shared with the next one.
 */
static void map_vmas(unsigned int nr)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	size_t size = getpagesize();
	unsigned int i;
	char *mem;

	mem = mmap(NULL, 2 * size * nr, PROT_NONE, flags, -1, 0);
	if (mem == MAP_FAILED)
		ksft_exit_fail_perror("mmap");
	munmap(mem, 2 * size * nr);
	for (i = 0; i < nr; i++) {
		char *page = mem + 2 * size * i;

		if (mmap(page, size, PROT_READ | PROT_WRITE,
			 flags | MAP_FIXED_NOREPLACE, -1, 0) != page)
			ksft_exit_fail_perror("mmap of a VMA");
		*page = 1;
	}
}

static void measure_vmas(int vmas, unsigned int nr)
{
	struct samples created = {}, destroyed = {};
	struct samples next_created = {}, next_destroyed = {};
	int first, next;

	while (created.nr < nr) {
		first = create(&created);
		next = create(&next_created);
		destroy(next, &next_destroyed);
		destroy(first, &destroyed);
	}
	report("kvm_create_first", "vmas", vmas, &created);
	report("kvm_create_next", "vmas", vmas, &next_created);
	report("kvm_destroy_next", "vmas", vmas, &next_destroyed);
	report("kvm_destroy_last", "vmas", vmas, &destroyed);
}

static void measure_nth(void)
{
	static struct samples created[MAX_VMS], destroyed[MAX_VMS];
	int vms[MAX_VMS];
	int round, i;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < MAX_VMS; i++) {
			if (!round)
				map_vmas(VMAS_PER_VM);
			vms[i] = create(&created[i]);
		}
		for (i = MAX_VMS - 1; i >= 0; i--)
			destroy(vms[i], &destroyed[i]);
	}
	for (i = 1; i <= MAX_VMS; i *= 2) {
		report("kvm_create_nth", "n", i, &created[i - 1]);
		report("kvm_destroy_nth", "n", i, &destroyed[i - 1]);
	}
}

/* Its VMAs are not for the others. */
static void measure_nth_apart(void)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0)
		ksft_exit_fail_perror("fork");
	if (!child) {
		measure_nth();
		exit(0);
	}
	waitpid(child, NULL, 0);
}

int main(void)
{
	static const struct {
		int vmas;
		unsigned int nr;
	} sizes[] = {
		{ 100, 21 }, { 1000, 21 }, { 10000, 7 }, { 60000, 3 },
	};
	int i, mapped = 0;

	kvm = open("/dev/kvm", O_RDWR);
	if (kvm < 0)
		ksft_exit_skip("/dev/kvm: %s\n", strerror(errno));
	/* What the first VM of all sets up is not what is to be measured. */
	close(ioctl(kvm, KVM_CREATE_VM, 0));
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		map_vmas(sizes[i].vmas - mapped);
		mapped = sizes[i].vmas;
		measure_vmas(mapped, sizes[i].nr);
		if (mapped == NTH_VMAS)
			measure_nth_apart();
	}
	return 0;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * How long KVM_CREATE_VM takes and the close() that destroys a VM
 *
 *   - in a process of few and of many VMAs, for its first VM and for one more,
 *   - for the Nth VM of a process that keeps all of them.
 *
 * Each line has name, parameter, unit, median, minimum and maximum, with tabs
 * between them.
 */
#include <sys/wait.h>
#include <time.h>

#include "kvm_util.h"
#include "test_util.h"

#define MAX_SAMPLES	32
#define MAX_VMS		64
#define ROUNDS		3
/* What a virtual machine monitor maps for each VM, more or less */
#define VMAS_PER_VM	10
#define NTH_VMAS	1000

static int kvm;

struct samples {
	unsigned int nr;
	u64 nsecs[MAX_SAMPLES];
};

static u64 now_nsecs(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static int compare(const void *left, const void *right)
{
	u64 l = *(const u64 *)left, r = *(const u64 *)right;

	return l < r ? -1 : l > r;
}

static void report(const char *name, const char *param, int value,
		   struct samples *samples)
{
	u64 *nsecs = samples->nsecs;

	qsort(nsecs, samples->nr, sizeof(*nsecs), compare);
	printf("%s\t%s=%d\tus\t%.1f\t%.1f\t%.1f\n", name, param, value,
	       nsecs[samples->nr / 2] / 1000.0, nsecs[0] / 1000.0,
	       nsecs[samples->nr - 1] / 1000.0);
}

static void add(struct samples *samples, u64 nsecs)
{
	samples->nsecs[samples->nr++] = nsecs;
}

static int create(struct samples *samples)
{
	u64 start = now_nsecs();
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);

	add(samples, now_nsecs() - start);
	TEST_ASSERT(vm >= 0, "KVM_CREATE_VM: %s", strerror(errno));
	return vm;
}

static void destroy(int vm, struct samples *samples)
{
	u64 start = now_nsecs();

	close(vm);
	add(samples, now_nsecs() - start);
}

/*
 * Map a page, in a VMA and with an anon_vma of its own: the hole behind it keeps
 * both from being shared with the next one.
 */
static void map_vmas(unsigned int nr)
{
	size_t size = getpagesize();
	char *mem = kvm_mmap(2 * size * nr, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	unsigned int i;

	kvm_munmap(mem, 2 * size * nr);
	for (i = 0; i < nr; i++) {
		char *page = mem + 2 * size * i;

		TEST_ASSERT(mmap(page, size, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS |
				 MAP_FIXED_NOREPLACE, -1, 0) == page,
			    "VMA %u of %u: %s", i, nr, strerror(errno));
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
	TEST_ASSERT(child >= 0, "fork: %s", strerror(errno));
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

	kvm = open_kvm_dev_path_or_exit();
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

/* Times and what processes use, for regress/lib/derpload.h. */

#include <sys/resource.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "regress/lib/derpload.h"

#define FINE	6	/* bits of a bucket's mantissa */

uint64_t
dl_now(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) == -1)
		fatal("clock_gettime");
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static unsigned int
bucket(uint64_t ns)
{
	unsigned int top = 0;

	if (ns < 1 << FINE)
		return (unsigned int)ns;
	while (ns >> top >= 2 << FINE)
		top++;
	return (top << FINE) + (unsigned int)(ns >> top);
}

/* The middle of a bucket. */
static double
value(unsigned int i)
{
	unsigned int top;

	if (i < 2 << FINE)
		return i;
	top = (i >> FINE) - 1;
	return ((double)(i - (top << FINE)) + 0.5) * (double)(1ULL << top);
}

void
dl_hist_add(struct dl_hist *h, uint64_t ns)
{
	unsigned int i = bucket(ns);

	h->of[i < DL_HIST ? i : DL_HIST - 1]++;
	h->n++;
	if (h->max < ns)
		h->max = ns;
}

double
dl_hist_us(const struct dl_hist *h, double q)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < DL_HIST; i++) {
		sum += h->of[i];
		if (sum > 0 && (double)sum >= q * (double)h->n)
			return value(i) / 1e3;
	}
	return 0;
}

static bool
read_file(const char *path, char *b, size_t max)
{
	FILE *f = fopen(path, "r");
	size_t n;

	if (f == NULL)
		return false;
	n = fread(b, 1, max - 1, f);
	b[n] = '\0';
	(void)fclose(f);
	return n > 0;
}

/* The n-th field of what follows the name in /proc/PID/stat. */
static long long
field(const char *s, unsigned int n)
{
	while (n-- > 0 && s != NULL)
		if ((s = strchr(s, ' ')) != NULL)
			s++;
	return s == NULL ? 0 : strtoll(s, NULL, 10);
}

static bool
is_ours(const struct dl *dl, const struct dl_usage *u, int pid, int parent)
{
	const struct dl_conf *conf = dl_conf(dl);
	unsigned int i;

	for (i = 0; i < u->n; i++)
		if (u->of[i].pid == pid)
			return false;
	for (i = 0; i < conf->npids; i++)
		if (conf->pids[i] == pid)
			return true;
	for (i = 0; i < u->n; i++)
		if (u->of[i].pid == parent)
			return true;
	return false;
}

static uint64_t
pss_kb(int pid)
{
	char path[64], b[2048], *p;

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	if (!read_file(path, b, sizeof(b)) ||
	    (p = strstr(b, "\nPss:")) == NULL)
		return 0;
	return strtoull(p + 5, NULL, 10);
}

/* Takes the process in if it belongs; true if it did. */
static bool
take(const struct dl *dl, struct dl_usage *u, const char *id, bool pss)
{
	char path[300], b[1024], *open, *close;
	int pid = (int)strtol(id, NULL, 10), parent;

	(void)snprintf(path, sizeof(path), "/proc/%s/stat", id);
	if (u->n == DL_PROCS || pid <= 0 || !read_file(path, b, sizeof(b)) ||
	    (open = strchr(b, '(')) == NULL ||
	    (close = strrchr(b, ')')) == NULL)
		return false;
	parent = (int)field(close, 2);
	if (!is_ours(dl, u, pid, parent))
		return false;
	*close++ = '\0';
	u->of[u->n].pid = pid;
	u->of[u->n].parent = parent;
	(void)strlcpy(u->of[u->n].name, open + 1, sizeof(u->of[0].name));
	u->of[u->n].cpu = (double)(field(close, 12) + field(close, 13)) /
	    (double)sysconf(_SC_CLK_TCK);
	u->of[u->n].pss_kb = pss ? pss_kb(pid) : 0;
	u->n++;
	return true;
}

/* Seconds that all processors together were busy. */
static double
busy(void)
{
	char b[512];

	if (!read_file("/proc/stat", b, sizeof(b)))
		return 0;
	/* cpu, two spaces, user nice system idle iowait irq softirq */
	return (double)(field(b, 2) + field(b, 3) + field(b, 4) +
	    field(b, 7) + field(b, 8)) / (double)sysconf(_SC_CLK_TCK);
}

void
dl_usage(const struct dl *dl, struct dl_usage *u, bool pss)
{
	struct rusage r;
	struct dirent *e;
	DIR *d;
	bool more;

	memset(u, 0, sizeof(*u));
	if ((d = opendir("/proc")) == NULL)
		fatal("/proc");
	do {
		more = false;
		rewinddir(d);
		while ((e = readdir(d)) != NULL)
			if (take(dl, u, e->d_name, pss))
				more = true;
	} while (more);
	(void)closedir(d);
	(void)getrusage(RUSAGE_SELF, &r);
	u->own = (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	    (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
	u->busy = busy();
	u->at = dl_now();
}

double
dl_usage_cpu(const struct dl_usage *u)
{
	double sum = 0;
	unsigned int i;

	for (i = 0; i < u->n; i++)
		sum += u->of[i].cpu;
	return sum;
}

uint64_t
dl_usage_pss(const struct dl_usage *u)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < u->n; i++)
		sum += u->of[i].pss_kb;
	return sum;
}

void
dl_usage_print(const struct dl_usage *a, const struct dl_usage *b,
    double per_packets)
{
	double s = (double)(b->at - a->at) / 1e9, cpu, before;
	unsigned int i, k;

	cpu = dl_usage_cpu(b) - dl_usage_cpu(a);
	printf(", \"own_load\": %.3f, \"relay_load\": %.3f",
	    (b->own - a->own) / s, cpu / s);
	printf(", \"others_load\": %.3f", (b->busy - a->busy - cpu -
	    b->own + a->own) / s);
	if (per_packets > 0)
		printf(", \"relay_us\": %.3f, \"own_us\": %.3f",
		    cpu / per_packets * 1e6,
		    (b->own - a->own) / per_packets * 1e6);
	printf(", \"processes\": [");
	for (i = 0; i < b->n; i++) {
		before = 0;
		for (k = 0; k < a->n; k++)
			if (a->of[k].pid == b->of[i].pid)
				before = a->of[k].cpu;
		printf("%s{\"name\": \"%s\", \"load\": %.3f, \"pss_kb\": "
		    "%llu}", i > 0 ? ", " : "", b->of[i].name,
		    (b->of[i].cpu - before) / s,
		    (unsigned long long)b->of[i].pss_kb);
	}
	printf("]");
}

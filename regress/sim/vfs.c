#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "common/str.h"
#include "regress/sim/vfs.h"

#define FILES_MAX	16
#define SECTOR		512

/* What was written since the last sync, in order. */
struct dirty {
	sqlite3_int64	 at;
	size_t		 n;
	bool		 cut;		/* a truncation to at */
};

struct vfile {
	char		 name[128];
	bool		 exists;
	uint8_t		*now;
	size_t		 n;
	uint8_t		*safe;
	size_t		 nsafe;
	struct dirty	*dirty;
	size_t		 ndirty;
};

struct handle {
	sqlite3_file	 base;
	struct vfile	*f;
	bool		 temporary;
};

static struct {
	struct world	*world;
	struct vfile	 files[FILES_MAX];
	uint64_t	 faults;
	bool		 registered;
} vfs;

static bool
faulty(void)
{
	return world_chance(vfs.world, vfs.faults);
}

static void
forget(struct vfile *f)
{
	free(f->now);
	free(f->safe);
	free(f->dirty);
	memset(f, 0, sizeof(*f));
}

static struct vfile *
find(const char *name, bool make)
{
	struct vfile *empty = NULL;
	size_t i;

	for (i = 0; i < FILES_MAX; i++) {
		if (vfs.files[i].exists &&
		    strcmp(vfs.files[i].name, name) == 0)
			return &vfs.files[i];
		if (!vfs.files[i].exists && empty == NULL)
			empty = &vfs.files[i];
	}
	if (!make || empty == NULL)
		return NULL;
	forget(empty);
	strlcpy(empty->name, name, sizeof(empty->name));
	empty->exists = true;
	return empty;
}

static void
resize(uint8_t **p, size_t *have, size_t want)
{
	if (want > *have) {
		*p = xrealloc(*p, want, 1);
		memset(*p + *have, 0, want - *have);
	}
	*have = want;
}

static void
note(struct vfile *f, sqlite3_int64 at, size_t n, bool cut)
{
	f->dirty = xrealloc(f->dirty, f->ndirty + 1, sizeof(*f->dirty));
	f->dirty[f->ndirty++] = (struct dirty){ at, n, cut };
}

static int
x_close(sqlite3_file *file)
{
	struct handle *h = (struct handle *)file;

	if (h->temporary && h->f != NULL)
		forget(h->f);
	return SQLITE_OK;
}

static int
x_read(sqlite3_file *file, void *dst, int n, sqlite3_int64 at)
{
	struct vfile *f = ((struct handle *)file)->f;
	size_t have = 0;

	if ((size_t)at < f->n) {
		have = f->n - (size_t)at;
		if (have > (size_t)n)
			have = (size_t)n;
		memcpy(dst, f->now + at, have);
	}
	if (have == (size_t)n)
		return SQLITE_OK;
	memset((char *)dst + have, 0, (size_t)n - have);
	return SQLITE_IOERR_SHORT_READ;
}

static int
x_write(sqlite3_file *file, const void *src, int n, sqlite3_int64 at)
{
	struct vfile *f = ((struct handle *)file)->f;

	if (faulty())
		return world_chance(vfs.world, 2) ? SQLITE_FULL :
		    SQLITE_IOERR_WRITE;
	if ((size_t)at + (size_t)n > f->n)
		resize(&f->now, &f->n, (size_t)at + (size_t)n);
	memcpy(f->now + at, src, (size_t)n);
	note(f, at, (size_t)n, false);
	return SQLITE_OK;
}

static int
x_truncate(sqlite3_file *file, sqlite3_int64 n)
{
	struct vfile *f = ((struct handle *)file)->f;

	resize(&f->now, &f->n, (size_t)n);
	note(f, n, 0, true);
	return SQLITE_OK;
}

/* Of what stood behind a cut nothing is noted: then all of it is copied. */
static void
save(struct vfile *f)
{
	const struct dirty *d;
	size_t i;

	resize(&f->safe, &f->nsafe, f->n);
	for (i = 0; i < f->ndirty; i++)
		if (f->dirty[i].cut)
			break;
	if (i < f->ndirty && f->n != 0)
		memcpy(f->safe, f->now, f->n);
	for (i = 0; i < f->ndirty; i++) {
		d = &f->dirty[i];
		if (!d->cut && (size_t)d->at + d->n <= f->n)
			memcpy(f->safe + d->at, f->now + d->at, d->n);
	}
}

static int
x_sync(sqlite3_file *file, int flags)
{
	struct vfile *f = ((struct handle *)file)->f;

	(void)flags;
	if (faulty())
		return SQLITE_IOERR_FSYNC;
	save(f);
	f->ndirty = 0;
	return SQLITE_OK;
}

static int
x_size(sqlite3_file *file, sqlite3_int64 *n)
{
	*n = (sqlite3_int64)((struct handle *)file)->f->n;
	return SQLITE_OK;
}

static int
x_lock(sqlite3_file *file, int kind)
{
	(void)file;
	(void)kind;
	return SQLITE_OK;
}

static int
x_reserved(sqlite3_file *file, int *out)
{
	(void)file;
	*out = 0;
	return SQLITE_OK;
}

static int
x_control(sqlite3_file *file, int op, void *arg)
{
	(void)file;
	(void)op;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int
x_sector(sqlite3_file *file)
{
	(void)file;
	return SECTOR;
}

static int
x_traits(sqlite3_file *file)
{
	(void)file;
	return 0;
}

static const sqlite3_io_methods methods = {
	1, x_close, x_read, x_write, x_truncate, x_sync, x_size, x_lock,
	x_lock, x_reserved, x_control, x_sector, x_traits,
	NULL, NULL, NULL, NULL, NULL, NULL
};

static int
x_open(sqlite3_vfs *v, const char *name, sqlite3_file *file, int flags,
    int *out)
{
	struct handle *h = (struct handle *)file;
	char temp[32];
	static unsigned int serial;

	(void)v;
	memset(h, 0, sizeof(*h));
	if (name == NULL) {
		snprintf(temp, sizeof(temp), "temp-%u", ++serial);
		name = temp;
		h->temporary = true;
	}
	h->f = find(name, (flags & SQLITE_OPEN_CREATE) != 0 || h->temporary);
	if (h->f == NULL)
		return SQLITE_CANTOPEN;
	if (out != NULL)
		*out = flags;
	h->base.pMethods = &methods;
	return SQLITE_OK;
}

/* Deletions and creations are durable at once here. */
static int
x_delete(sqlite3_vfs *v, const char *name, int sync)
{
	struct vfile *f = find(name, false);

	(void)v;
	(void)sync;
	if (f == NULL)
		return SQLITE_IOERR_DELETE_NOENT;
	forget(f);
	return SQLITE_OK;
}

static int
x_access(sqlite3_vfs *v, const char *name, int flags, int *out)
{
	(void)v;
	(void)flags;
	*out = find(name, false) != NULL;
	return SQLITE_OK;
}

static int
x_fullname(sqlite3_vfs *v, const char *name, int n, char *out)
{
	(void)v;
	return strlcpy(out, name, (size_t)n) < (size_t)n ? SQLITE_OK :
	    SQLITE_CANTOPEN;
}

static int
x_random(sqlite3_vfs *v, int n, char *out)
{
	int i;

	(void)v;
	for (i = 0; i < n; i++)
		out[i] = (char)world_rand(vfs.world, 256);
	return n;
}

static int
x_sleep(sqlite3_vfs *v, int us)
{
	(void)v;
	return us;
}

static int
x_time(sqlite3_vfs *v, double *julian)
{
	(void)v;
	*julian = 2440587.5 + (double)world_wall(vfs.world) / 86400.0;
	return SQLITE_OK;
}

static int
x_error(sqlite3_vfs *v, int n, char *out)
{
	(void)v;
	(void)n;
	(void)out;
	return 0;
}

void
vfs_use(struct world *w)
{
	static sqlite3_vfs v;

	vfs.world = w;
	if (vfs.registered)
		return;
	v.iVersion = 1;
	v.szOsFile = sizeof(struct handle);
	v.mxPathname = 127;
	v.zName = "sim";
	v.xOpen = x_open;
	v.xDelete = x_delete;
	v.xAccess = x_access;
	v.xFullPathname = x_fullname;
	v.xRandomness = x_random;
	v.xSleep = x_sleep;
	v.xCurrentTime = x_time;
	v.xGetLastError = x_error;
	sqlite3_vfs_register(&v, 0);
	vfs.registered = true;
}

void
vfs_clear(void)
{
	size_t i;

	for (i = 0; i < FILES_MAX; i++)
		forget(&vfs.files[i]);
	vfs.faults = 0;
}

size_t
vfs_octets(void)
{
	const struct vfile *f;
	size_t i, sum = 0;

	for (i = 0; i < FILES_MAX; i++) {
		f = &vfs.files[i];
		if (f->exists)
			sum += f->n + f->nsafe + f->ndirty * sizeof(*f->dirty);
	}
	return sum;
}

void
vfs_faults(uint64_t n)
{
	vfs.faults = n;
}

/* One unsynced write, each of its sectors kept or lost by chance. */
static void
replay(struct vfile *f, const struct dirty *d)
{
	sqlite3_int64 at, end = d->at + (sqlite3_int64)d->n;
	size_t n;

	if (d->cut) {
		if (world_chance(vfs.world, 2))
			resize(&f->safe, &f->nsafe, (size_t)d->at);
		return;
	}
	for (at = d->at; at < end; at += (sqlite3_int64)n) {
		n = SECTOR - (size_t)(at % SECTOR);
		if ((sqlite3_int64)n > end - at)
			n = (size_t)(end - at);
		if (world_chance(vfs.world, 2) ||
		    (size_t)at + n > f->n)
			continue;
		if ((size_t)at + n > f->nsafe)
			resize(&f->safe, &f->nsafe, (size_t)at + n);
		memcpy(f->safe + at, f->now + at, n);
	}
}

void
vfs_power_cut(void)
{
	struct vfile *f;
	size_t i, k;

	for (i = 0; i < FILES_MAX; i++) {
		f = &vfs.files[i];
		if (!f->exists)
			continue;
		for (k = 0; k < f->ndirty; k++)
			replay(f, &f->dirty[k]);
		f->ndirty = 0;
		resize(&f->now, &f->n, f->nsafe);
		if (f->n != 0)
			memcpy(f->now, f->safe, f->n);
	}
}

#include <stddef.h>

#include "regress/lib/faultfs.h"

struct ffile {
	sqlite3_file	 base;
	sqlite3_file	*real;
};

static struct faultfs disk;
static sqlite3_vfs *under;

static int
fault(void)
{
	disk.ops++;
	if (disk.fail_at == 0 || disk.ops < disk.fail_at ||
	    (disk.ops > disk.fail_at && !disk.stay))
		return SQLITE_OK;
	return disk.with;
}

static sqlite3_file *
real(sqlite3_file *f)
{
	return ((struct ffile *)f)->real;
}

static int
f_close(sqlite3_file *f)
{
	return real(f)->pMethods->xClose(real(f));
}

static int
f_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	return real(f)->pMethods->xRead(real(f), p, n, at);
}

static int
f_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	int rc;

	if ((rc = fault()) != SQLITE_OK) {
		/* Half of it gets through. */
		(void)real(f)->pMethods->xWrite(real(f), p, n / 2, at);
		return rc == SQLITE_FULL ? rc : SQLITE_IOERR_WRITE;
	}
	return real(f)->pMethods->xWrite(real(f), p, n, at);
}

static int
f_truncate(sqlite3_file *f, sqlite3_int64 n)
{
	if (fault() != SQLITE_OK)
		return SQLITE_IOERR_TRUNCATE;
	return real(f)->pMethods->xTruncate(real(f), n);
}

static int
f_sync(sqlite3_file *f, int flags)
{
	if (fault() != SQLITE_OK)
		return SQLITE_IOERR_FSYNC;
	return real(f)->pMethods->xSync(real(f), flags);
}

static int
f_size(sqlite3_file *f, sqlite3_int64 *n)
{
	return real(f)->pMethods->xFileSize(real(f), n);
}

static int
f_lock(sqlite3_file *f, int how)
{
	return real(f)->pMethods->xLock(real(f), how);
}

static int
f_unlock(sqlite3_file *f, int how)
{
	return real(f)->pMethods->xUnlock(real(f), how);
}

static int
f_reserved(sqlite3_file *f, int *out)
{
	return real(f)->pMethods->xCheckReservedLock(real(f), out);
}

static int
f_control(sqlite3_file *f, int op, void *arg)
{
	return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int
f_sector(sqlite3_file *f)
{
	return real(f)->pMethods->xSectorSize(real(f));
}

static int
f_device(sqlite3_file *f)
{
	return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

/* Version 1: no shared memory, as the simulator's disk. */
static const sqlite3_io_methods f_methods = {
	1, f_close, f_read, f_write, f_truncate, f_sync, f_size, f_lock,
	f_unlock, f_reserved, f_control, f_sector, f_device, NULL, NULL, NULL,
	NULL, NULL, NULL
};

static int
v_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
	struct ffile *ff = (struct ffile *)f;
	int rc;

	(void)v;
	ff->real = (sqlite3_file *)(ff + 1);
	if (disk.readonly)
		flags = (flags & ~(SQLITE_OPEN_READWRITE |
		    SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
	rc = under->xOpen(under, name, ff->real, flags, out);
	f->pMethods = ff->real->pMethods == NULL ? NULL : &f_methods;
	return rc;
}

static int
v_delete(sqlite3_vfs *v, const char *name, int sync)
{
	(void)v;
	return under->xDelete(under, name, sync);
}

static int
v_access(sqlite3_vfs *v, const char *name, int flags, int *out)
{
	(void)v;
	return under->xAccess(under, name, flags, out);
}

static int
v_path(sqlite3_vfs *v, const char *name, int n, char *out)
{
	(void)v;
	return under->xFullPathname(under, name, n, out);
}

static int
v_random(sqlite3_vfs *v, int n, char *out)
{
	(void)v;
	return under->xRandomness(under, n, out);
}

static int
v_sleep(sqlite3_vfs *v, int us)
{
	(void)v;
	return under->xSleep(under, us);
}

static int
v_time(sqlite3_vfs *v, double *out)
{
	(void)v;
	return under->xCurrentTime(under, out);
}

static int
v_error(sqlite3_vfs *v, int n, char *out)
{
	(void)v;
	return under->xGetLastError(under, n, out);
}

struct faultfs *
faultfs_new(void)
{
	static sqlite3_vfs v;

	under = sqlite3_vfs_find(NULL);
	v.iVersion = 1;
	v.szOsFile = (int)sizeof(struct ffile) + under->szOsFile;
	v.mxPathname = under->mxPathname;
	v.zName = FAULTFS;
	v.xOpen = v_open;
	v.xDelete = v_delete;
	v.xAccess = v_access;
	v.xFullPathname = v_path;
	v.xRandomness = v_random;
	v.xSleep = v_sleep;
	v.xCurrentTime = v_time;
	v.xGetLastError = v_error;
	return sqlite3_vfs_register(&v, 0) == SQLITE_OK ? &disk : NULL;
}


/*
 * Files that master opens, checks and hands on as descriptors: the keys of
 * Noise, the relay and ACME, the DERP map, the extra DNS records, the policy.
 * It never reads a key; of the others it makes sealed copies without looking
 * at what is in them.
 */

#ifndef MASTER_FILES_H
#define MASTER_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ids.h"
#include "master/conf.h"

struct files;

/* Never NULL. */
struct files	*files_new(void);
/* NULL is fine. */
void		 files_free(struct files *);
/*
 * Opens what a configuration names and keeps a copy aside, of at most 4 MB;
 * false with "file:line: path: reason".
 */
bool		 files_stage(struct files *, const struct conf *, char *why,
		    size_t whylen);
void		 files_commit(struct files *);
void		 files_discard(struct files *);
/*
 * A new descriptor of the DERP map, the records or the policy, as they were
 * when they were opened, or -1 if there is none.  staged: of what is kept
 * aside.  tries: 0 the newest; each time that one is refused an older one,
 * which are the one before and the one that was last committed; then none.
 */
int		 files_get(const struct files *, enum file_kind, bool staged,
		    unsigned int tries);
/*
 * Looks whether the file that is in force has been replaced or changed, by
 * device, inode, size and mtime; true if so: files_get() then has the new
 * one.  What is missing or not safe is logged once, and the old one stays.
 */
bool		 files_changed(struct files *, enum file_kind);

/*
 * A safe file's sealed copy as it is now, of at most 4 MB (where there are no
 * such copies the file itself); -1 with "path: reason".
 */
int		 files_copy(const char *path, char *why, size_t whylen);
/*
 * The same of a private key, of at most 64 KB: what is written over it is of
 * no effect until the next configuration.
 */
int		 files_copy_secret(const char *path, char *why, size_t whylen);
/*
 * Another such copy of that copy, with a place in it of its own: who reads
 * one moves no other's.  -1 with errno.
 */
int		 files_again(int fd);

/*
 * A key of ours: a descriptor to read it (*made false), or, if there is none
 * and make is true, of an empty file beside it to make one in (*made true).
 * -1 with the reason; an existing file is never touched.
 */
int		 key_open(const char *path, bool make, bool *made, char *why,
		    size_t whylen);
/* The new key is written: gives it its name, and syncs the folder. */
bool		 key_made(const char *path, char *why, size_t whylen);
/*
 * A file without a name, with a key that is nobody's: for a process that only
 * looks at a configuration, where there is none yet.  -1 with errno.
 */
int		 key_nowhere(void);
/* Likewise an empty one, to make a key in that nobody keeps. */
int		 key_blank(void);
/* True if the key file is safe, or can be made there: for headscaled -n. */
bool		 key_check(const char *path, char *why, size_t whylen);

#endif

/*
 * When a path is safe (trust.md 7): each component is owned by root or our
 * own user and is not writable by group or others; a sticky root-owned folder
 * such as /tmp passes, and so does a symbolic link of such an owner.
 */

#ifndef MASTER_PATH_H
#define MASTER_PATH_H

#include <stdbool.h>
#include <stddef.h>

enum path_kind {
	PATH_PLAIN,		/* a regular file */
	PATH_SECRET,		/* the same, closed to group and others */
	PATH_DIR,		/* a folder that no one else can write to */
	PATH_PROGRAM		/* a regular file that may be executed */
};

/* dir and name with a slash between, or name alone if it is absolute. */
char	*path_join(const char *dir, const char *name);
/*
 * Follows an absolute or relative path to its end and checks each component
 * on the way.  Returns the real path, which the caller frees, or NULL with
 * "path: reason" in why; missing is then true if there is just nothing there.
 */
char	*path_check(const char *path, enum path_kind, bool *missing, char *why,
	    size_t whylen);
/*
 * Checks and opens it for reading, close-on-exec.  The real path goes to
 * *real (may be NULL) and is the caller's.  -1 with the reason in why.
 */
int	 path_open(const char *path, enum path_kind, char **real, char *why,
	    size_t whylen);
/* Checks the folder that a file is to be made in; false with the reason. */
bool	 path_parent_ok(const char *path, char *why, size_t whylen);

#endif

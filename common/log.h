/*
 * Log lines: lower case, no full stop, subject first, then key=value pairs.
 * Text that came from a peer goes through log_vis().  No secrets.
 */

#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stddef.h>

#include "common/str.h"

/*
 * Where the lines go: fd 2 (stderr, with a time and "name[pid]: "), or a
 * connected log socket when to_syslog (RFC 3164 form, non-blocking; what does
 * not fit is counted and reported later).  name is kept, not copied.
 */
void	log_init(const char *name, int fd, bool to_syslog, int verbose);
/* This process makes no other one: its number is asked for only now. */
void	log_keep_pid(void);
/*
 * Lines go to this log socket from now on, which is log's own: the old one's
 * other end is gone.  It is closed at once where lines go to stderr.
 */
void	log_move(int fd);
void	log_verbose(int);
int	log_is_verbose(void);
/* Sends lines to f instead (tests, the simulator); NULL undoes it. */
void	log_capture(void (*f)(int level, const char *line, void *), void *);

/* Errors: something is wrong and somebody should look. */
void	log_warnx(const char *, ...) __attribute__((__format__(printf, 1, 2)));
/* The same with ": strerror(errno)"; keeps errno. */
void	log_warn(const char *, ...) __attribute__((__format__(printf, 1, 2)));
void	log_info(const char *, ...) __attribute__((__format__(printf, 1, 2)));
/* Only with -v. */
void	log_debug(const char *, ...) __attribute__((__format__(printf, 1, 2)));
/*
 * For our own bugs, a failed start and memory only, never for a peer's
 * mistake: logs and exits with 1.
 */
void	fatal(const char *, ...) __attribute__((__noreturn__))
	    __attribute__((__format__(printf, 1, 2)));
void	fatalx(const char *, ...) __attribute__((__noreturn__))
	    __attribute__((__format__(printf, 1, 2)));

/*
 * A peer's text through vis(3), at most 200 octets of it, in one of eight
 * static buffers that are used in turn.
 */
const char *log_vis(struct slice);
/* The first five characters of the key's base64 in brackets, likewise. */
const char *log_key(const uint8_t key[32]);

#endif

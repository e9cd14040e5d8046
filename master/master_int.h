/* Between the master*.c files. */

#ifndef MASTER_MASTER_INT_H
#define MASTER_MASTER_INT_H

#include "common/ev.h"
#include "common/secret.h"
#include "master/conf.h"
#include "master/fetchdir.h"
#include "master/files.h"
#include "master/listen.h"
#include "master/logsock.h"
#include "master/master.h"
#include "master/keypairs.h"
#include "master/super.h"
#include "master/users.h"

#define WHY_LEN		512

/* Who asked for the reload that is going on. */
struct asker {
	struct proc	*proc;		/* NULL: a signal */
	uint64_t	 generation;
	uint32_t	 id;
};

struct master {
	const struct master_args *args;
	struct conf		*conf;		/* in force */
	struct conf		*next;		/* staged */
	struct ev		*ev;
	struct super		*super;
	struct listeners	*listeners;
	struct files		*files;
	struct keypairs		*pairs;		/* of TLS */
	struct fetchdir		*fetch;		/* cage of fetch out */
	struct users		 users;
	char			*libexec;
	struct secret		*secret;	/* of tickets */
	uint8_t			 boot[16];
	uint32_t		 epoch;		/* of conf */
	uint32_t		 next_epoch;	/* of next; 0: none */
	uint32_t		 last_epoch;	/* a number is used once */
	uint8_t			 verbose;
	bool			 to_stderr;	/* children's logs */
	struct logsock		 logsock;	/* ours and theirs */
	bool			 check;		/* -n: nothing is started */
	/* Keys that exist, by bit of their FILE_ kind: never make one. */
	unsigned int		 known;
	bool			 stopping;
	bool			 done;
	int			 code;
	int			 control;	/* listening, or -1 */
	int			 pid_fd;
	int			 state_fd;	/* holds state_dir's lock */
	char			*cage;		/* chroot of worker and keyd */
	struct asker		 asker;
	bool			 again;		/* a signal came meanwhile */
	struct timer		 again_timer;
	struct timer		 look;		/* at files, every 5 s */
};

/* Operations for supervision (master_child.c); their arg is the master. */
void	master_ops(struct master *, struct super_ops *);
/* SIGCHLD: tells supervision who has died. */
void	master_reap(struct master *);
/* Sends a descriptor (which moves) of a file to a worker. */
void	master_send_file(struct master *, struct proc *, enum file_kind,
	    uint32_t epoch, int fd);
/* Likewise a log socket to any child that runs. */
void	master_send_log(struct master *, struct proc *, int fd);

/* What a child of that role gets of a configuration (master_conf.c). */
void	master_configure(struct proc *, uint32_t epoch, void *arg);
/* SUPER_ bits of the configuration of this epoch. */
unsigned int master_wants(uint32_t epoch, void *arg);
/* Tells workers and stun which addresses a commit has added and removed. */
void	master_send_listeners(struct master *);

/* All serve, all has ended (master.c). */
void	master_serving(void *arg);
void	master_stopped(int code, const char *why, void *arg);

/* Begins a reload, for a signal or for dbd's request (master_reload.c). */
void	master_reload(struct master *, struct proc *, uint32_t id);
/* How it ended. */
void	master_outcome(uint32_t epoch, bool ok, const char *why, void *arg);
/* CFG_CTL_RELOAD and CFG_CTL_VERBOSE of dbd. */
void	master_request(struct master *, struct proc *, const struct msg *);
/* Begins to look at files. */
void	master_look(struct master *);
/* Logs what a process connects out for, if there is one. */
void	master_say_out(const struct master *);
/* Says in the log whom the relay serves, if there is one. */
void	master_say_relay(const struct master *);
/* Logs warnings of a configuration. */
void	master_warn(const struct conf *);

#endif

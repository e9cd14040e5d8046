/*
 * Policies: stored, compiled by policyc, in force.  policy.c has the
 * operations, policyc.c the queue of jobs and the POL link.
 */

#ifndef DBD_POLICY_INT_H
#define DBD_POLICY_INT_H

#include "dbd/dbd_int.h"

#define JOBS_MAX	16U		/* that wait */

enum job_kind {
	JOB_SET,		/* compile, test, store, publish */
	JOB_CHECK,		/* compile and test */
	JOB_TEST,		/* test only */
	JOB_WHY,
	JOB_DIFF,
	JOB_AGAIN,		/* the stored text: users have changed */
	JOB_RETEST		/* its tests, after that: only a warning */
};

/* How a job ended; all is borrowed for the call. */
struct job_result {
	bool		 ok;
	bool		 died;		/* nobody has judged the text */
	bool		 tests_failed;
	uint32_t	 line;		/* of the text; 0: none is to blame */
	uint32_t	 column;
	struct slice	 text;		/* why not; a character, not octets */
	struct msg_list	 detail;	/* of r_pol_text */
	uint32_t	 version;	/* JOB_SET: the new one */
	struct slice	 out;		/* JOB_WHY, JOB_DIFF */
};

/*
 * A job: what is to be asked of policyc, and whom the answer is for.  done is
 * called once, with NULL if there will never be an answer.
 */
struct job {
	TAILQ_ENTRY(job) all;
	enum job_kind	 kind;
	struct tailnet	*tn;
	uint32_t	 uid;		/* who asks; UID_NONE: the server */
	uint32_t	 version;	/* in force when it was asked for */
	struct buf	 text;
	struct buf	 was;		/* JOB_DIFF: the text in force */
	char		 reason[256];	/* JOB_SET */
	char		 src[256];	/* JOB_WHY */
	char		 dst[256];
	uint16_t	 port;
	uint32_t	 lines;		/* JOB_DIFF */
	void		(*done)(const struct job_result *, void *arg);
	void		*arg;

	uint64_t	 gen;		/* users_gen when it was begun */
	bool		 nodes;		/* policyc has them, or needs none */
	struct buf	 blob;		/* what came so far */
	struct buf	 out;
};

/* A job without texts; job_add() takes it over. */
struct job	*job_new(struct tailnet *, enum job_kind, uint32_t uid,
		    void (*done)(const struct job_result *, void *),
		    void *arg);
/*
 * JOB_AGAIN comes first, but one job of an administrator is let through
 * between two of them.  -1 with a text in why, and the job is freed, if too
 * many wait.
 */
int		 job_add(struct job *, char *why, size_t);
void		 job_free(struct job *);
/*
 * Nobody waits for the answer any more: the job is dropped if it has not been
 * begun, or changes nothing.  done is not called.
 */
void		 job_forget(struct dbd *, const void *arg);
/* A job of this kind waits for the tailnet, or (running) is being done. */
bool		 job_waits(struct tailnet *, enum job_kind, bool running);

void		 policyc_init(struct dbd *);
void		 policyc_free(struct dbd *);
/* Another compiled form is in force: its tests are run before long. */
void		 job_retest(struct tailnet *);
/* From now on jobs are begun. */
void		 policyc_go(struct dbd *);
/* In policy.c: fetches what is in force now, as far as the job needs it. */
void		 policy_prepare(struct job *);
/* policyc has answered, or has not: applies it and fills in r->version. */
void		 policy_done(struct job *, struct job_result *r);

/* Reads the tailnet's policy after a start; -1 if the store is unreadable. */
int		 policy_load(struct tailnet *);
/* Users or domains have changed: compiles it again before long. */
void		 policy_users_changed(struct tailnet *);
/* The file of the configuration was read, or names and domains are others. */
void		 policy_conf_changed(struct dbd *, bool domains);
/* For the timer of what is to be compiled again. */
void		 policy_again(struct dbd *);
/* After a start: tells workers where nothing valid is in force. */
void		 policy_alarm(struct dbd *);

/* What workers are told: compiled only if its blob is valid. */
enum policy_kind policy_in_force(const struct tailnet *);
/* "allow-all", "version 7", for status. */
void		 policy_name(const struct tailnet *, char *, size_t);
/* Fills in DB_TAILNET. */
void		 tailnet_say(const struct tailnet *, struct msg *);
/* Sends the policy in force to all that hold the tailnet. */
void		 policy_publish(struct tailnet *);
/* The octets as DB_POLICY_PART, one after the other, through fn. */
void		 policy_parts(const struct tailnet *, struct slice,
		    void (*fn)(const struct msg *, void *), void *arg);

/*
 * Begins to put a text in force: done is called when that is decided.  It is
 * refused if another version came into force meanwhile, and of the server's
 * own only the text that the file has now is taken.  -1 with a text in why if
 * it cannot be tried.
 */
int		 op_policy_set(struct tailnet *, struct slice text,
		    struct slice reason, uint32_t uid,
		    void (*done)(const struct job_result *, void *),
		    void *arg, char *why, size_t);
/* The same with the text of an old version. */
int		 op_policy_rollback(struct tailnet *, uint32_t version,
		    struct slice reason, uint32_t uid,
		    void (*done)(const struct job_result *, void *),
		    void *arg, char *why, size_t);
/* JOB_CHECK, JOB_TEST or JOB_DIFF (at most so many lines) of a text. */
int		 op_policy_try(struct tailnet *, enum job_kind, struct slice
		    text, uint32_t lines, uint32_t uid,
		    void (*done)(const struct job_result *, void *),
		    void *arg, char *why, size_t);
int		 op_policy_why(struct tailnet *, struct slice src,
		    struct slice dst, uint16_t port, uint32_t uid,
		    void (*done)(const struct job_result *, void *),
		    void *arg, char *why, size_t);
/*
 * Tags that an administrator may give: those that the policy's tagOwners
 * define; any under a built-in policy; none while no valid one is in force.
 */
int		 policy_tags_check(const struct tailnet *,
		    const struct msg_list *tags, char *why, size_t);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/admin.h"

#include <stdlib.h>

#include "base/log.h"
#include "io/thread.h"

struct admin_job {
	struct admin *admin; /* NULL: gone */
	struct loop *loop;
	struct grpc_call *call;
	struct admin_work work;
	struct admin_job *next, **place;
};

struct admin {
	struct loop *loop;
	struct thread_pool *pools[ADMIN_KINDS];
	unsigned running[ADMIN_KINDS];
	struct admin_job *jobs;
};

struct admin *admin_new(struct loop *loop)
{
	struct admin *admin = calloc(1, sizeof(*admin));

	if (admin == NULL)
		abort();
	admin->loop = loop;
	return admin;
}

static void forget_jobs(void *argument)
{
	struct admin *admin = argument;

	for (struct admin_job *job = admin->jobs; job != NULL; job = job->next) {
		job->call = NULL;
		job->admin = NULL;
	}
}

void admin_free(struct admin *admin)
{
	if (admin == NULL)
		return;
	for (int i = 0; i < ADMIN_KINDS; i++)
		if (admin->pools[i] != NULL)
			thread_pool_free(admin->pools[i]);
	loop_call(admin->loop, forget_jobs,
	          admin); /* what was posted by then has run: nothing is left, unless a job posts from elsewhere */
	free(admin);
}

static void job_done(void *argument)
{
	struct admin_job *job = argument;

	if (job->admin != NULL) {
		*job->place = job->next;
		if (job->next != NULL)
			job->next->place = job->place;
		job->admin->running[job->work.kind]--;
	}
	job->work.done(job->work.argument, job->call);
	free(job);
}

static void run_job(void *argument)
{
	struct admin_job *job = argument;

	job->work.work(job->work.argument);
	loop_post(job->loop, job_done, job);
}

static struct thread_pool *pool_of(struct admin *admin, enum admin_kind kind)
{
	struct error err;

	if (admin->pools[kind] == NULL) {
		admin->pools[kind] = thread_pool_new(kind == ADMIN_LOGIN ? "etcd-login" : "etcd-data", 1, &err);
		if (admin->pools[kind] == NULL)
			log_error("datastore.thread", "cannot start a thread", &err);
	}
	return admin->pools[kind];
}

bool admin_run(struct admin *admin, struct grpc_call *call, const struct admin_work *work)
{
	struct thread_pool *pool = pool_of(admin, work->kind);
	struct admin_job *job;

	if (pool == NULL || admin->running[work->kind] >= ADMIN_JOBS_MAXIMUM)
		return false;
	job = calloc(1, sizeof(*job));
	if (job == NULL)
		abort();
	*job = (struct admin_job){
		.admin = admin, .loop = admin->loop, .call = call, .work = *work, .next = admin->jobs, .place = &admin->jobs
	};
	if (job->next != NULL)
		job->next->place = &job->next;
	admin->jobs = job;
	admin->running[work->kind]++;
	thread_pool_post(pool, run_job, job);
	return true;
}

void admin_call_ended(struct admin *admin, const struct grpc_call *call)
{
	for (struct admin_job *job = admin->jobs; job != NULL; job = job->next)
		if (job->call == call)
			job->call = NULL;
}

package zdu;

import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

import org.camunda.bpm.engine.delegate.JavaDelegate;
import org.camunda.bpm.engine.impl.jobexecutor.JobExecutor;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.SmartLifecycle;
import org.springframework.context.annotation.Bean;
import org.springframework.scheduling.concurrent.ThreadPoolTaskExecutor;

/** A node: the engine, its REST interface, and the work that the service tasks of processes do. */
@SpringBootApplication
public class Node {
	public static void main(String[] args) {
		SpringApplication.run(Node.class, args);
	}

	/** Takes long enough that some of it is under way at all times. */
	@Bean
	public JavaDelegate work() {
		return execution -> Thread.sleep(400);
	}

	/** The job executor's threads. */
	@Bean
	public ThreadPoolTaskExecutor camundaTaskExecutor() {
		ThreadPoolTaskExecutor executor = new ThreadPoolTaskExecutor();
		executor.setCorePoolSize(3);
		executor.setMaxPoolSize(10);
		executor.setQueueCapacity(3);
		executor.setAcceptTasksAfterContextClose(true);
		return executor;
	}

	/**
	 * Drains the job executor, the first thing that is done when the node is told to stop: it takes no
	 * further jobs and finishes those it has taken, and says how many that were.  Left to itself it would
	 * lose them to their locks, which last for minutes.
	 */
	@Bean
	public SmartLifecycle drain(JobExecutor jobExecutor, ThreadPoolTaskExecutor camundaTaskExecutor) {
		return new SmartLifecycle() {
			private volatile boolean running;

			@Override
			public void start() {
				running = true;
			}

			@Override
			public boolean isRunning() {
				return running;
			}

			@Override
			public void stop() {
				ThreadPoolExecutor threads = camundaTaskExecutor.getThreadPoolExecutor();
				int taken = threads.getActiveCount() + threads.getQueue().size();

				jobExecutor.shutdown();
				threads.shutdown();
				try {
					boolean done = threads.awaitTermination(60, TimeUnit.SECONDS);

					System.out.println("drained " + taken + " jobs: " + (done ? "done" : "NOT DONE"));
				}
				catch (InterruptedException e) {
					Thread.currentThread().interrupt();
				}
				running = false;
			}
		};
	}
}

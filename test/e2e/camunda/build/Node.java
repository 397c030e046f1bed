package zdu;

import org.camunda.bpm.engine.delegate.JavaDelegate;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.core.task.TaskExecutor;
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
		return execution -> Thread.sleep(500);
	}

	/** The job executor's threads: a node that is told to stop finishes the jobs it is at. */
	@Bean
	public TaskExecutor camundaTaskExecutor() {
		ThreadPoolTaskExecutor executor = new ThreadPoolTaskExecutor();
		executor.setCorePoolSize(3);
		executor.setMaxPoolSize(10);
		executor.setQueueCapacity(3);
		executor.setWaitForTasksToCompleteOnShutdown(true);
		executor.setAwaitTerminationSeconds(60);
		return executor;
	}
}

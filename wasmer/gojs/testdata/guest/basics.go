//go:build js && wasm

package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"
)

func init() {
	programs["args"] = func(args []string) { fmt.Printf("%q %q\n", os.Args, os.Environ()) }
	programs["streams"] = func([]string) {
		fmt.Println("to stdout")
		fmt.Fprintln(os.Stderr, "to stderr")
		println("from the runtime")
	}
	programs["length"] = func([]string) { fmt.Println(len(must(io.ReadAll(os.Stdin)))) }
	programs["copy"] = func([]string) { must(io.Copy(os.Stdout, os.Stdin)) }
	programs["exit"] = func(args []string) { os.Exit(must(strconv.Atoi(args[0]))) }
	programs["panic"] = func([]string) { panic("no way out") }
	programs["deadlock"] = func([]string) { select {} }
	programs["timers"] = timers
	programs["sleep"] = func(args []string) { time.Sleep(must(time.ParseDuration(args[0]))) }
	programs["spin"] = func([]string) {
		for {
			time.Now()
		}
	}
	programs["goroutines"] = goroutines
	programs["heap"] = heap
	programs["waiting"] = waiting
	programs["random"] = func([]string) {
		data := make([]byte, 16)
		rand.Read(data)
		fmt.Printf("%x\n", data)
	}
	programs["clock"] = func([]string) {
		start := time.Now()
		time.Sleep(time.Hour)
		fmt.Println(start.Format(time.RFC3339), start.Location(), time.Since(start) >= time.Hour)
	}
	programs["zone"] = func([]string) { fmt.Println(time.Now().Format(time.RFC3339)) }
	programs["process"] = func([]string) {
		fmt.Println(os.Getpid(), os.Getppid(), os.Getuid(), os.Geteuid(), os.Getgid(), os.Getegid(), must(os.Getgroups()),
			must(os.Getwd()), must(os.Hostname()))
	}
}

func timers([]string) {
	start := time.Now()
	ticker := time.NewTicker(2 * time.Millisecond)
	for range 5 {
		<-ticker.C
	}
	ticker.Stop()
	stopped := time.AfterFunc(time.Hour, func() { panic("stopped timers do not fire") })
	expect(stopped.Stop(), "the timer was stopped")
	select {
	case <-time.After(time.Millisecond):
	case <-time.After(time.Hour):
		panic("the longer timer came first")
	}
	expect(time.Since(start) >= 11*time.Millisecond, "%v went by", time.Since(start))
	fmt.Println("ok")
}

func goroutines([]string) {
	var wait sync.WaitGroup
	results := make(chan int)
	for i := range 1000 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			time.Sleep(time.Duration(i%7) * time.Millisecond)
			results <- i
		}()
	}
	go func() { wait.Wait(); close(results) }()
	sum := 0
	for i := range results {
		sum += i
	}
	fmt.Println(sum)
}

func heap([]string) {
	var blocks [][]byte
	for i := range 64 {
		block := make([]byte, 1<<20)
		block[len(block)-1] = byte(i)
		blocks = append(blocks, block)
	}
	for i, block := range blocks {
		expect(block[len(block)-1] == byte(i), "block %d has changed", i)
	}
	fmt.Println(len(blocks))
}

// waiting reads the standard input while a ticker goes on.
func waiting([]string) {
	read := make(chan string)
	go func() { read <- string(must(io.ReadAll(os.Stdin))) }()
	ticks := 0
	for {
		select {
		case <-time.Tick(time.Millisecond):
			ticks++
			if ticks == 3 {
				fmt.Println("ticking")
			}
		case s := <-read:
			fmt.Printf("%q after ticks: %v\n", s, ticks >= 3)
			return
		}
	}
}

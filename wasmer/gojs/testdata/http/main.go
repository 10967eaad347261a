//go:build js && wasm

// Command http asks for a page of the web, which it does not get.
package main

import (
	"fmt"
	"net/http"
)

func main() {
	_, err := http.Get("http://example.com/")
	fmt.Println(err)
}

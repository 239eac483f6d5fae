// Command kstatus judges Kubernetes objects as Flux and other tools do. It reads objects as JSON from standard input, one
// after the other, and prints a line of JSON for each: its kind, its name, its status and the message to it. Its argument
// is a file with a health check of Argo CD's, whose answer is printed, too.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type verdict struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Status  string `json:"status"`
	Message string `json:"message"`
	Health  string `json:"health"`
	Reason  string `json:"healthMessage"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: kstatus HEALTH.lua <OBJECTS")
		os.Exit(2)
	}
	script, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = run(string(script), os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kstatus:", err)
		os.Exit(1)
	}
}

func run(script string, in io.Reader, out io.Writer) error {
	decoder, encoder := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var raw json.RawMessage
		switch err := decoder.Decode(&raw); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read an object: %w", err)
		}
		// Its own way of reading JSON, in which whole numbers are integers.
		var object unstructured.Unstructured
		if err := object.UnmarshalJSON(raw); err != nil {
			return fmt.Errorf("read an object: %w", err)
		}
		result, err := status.Compute(&object)
		if err != nil {
			return fmt.Errorf("judge %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		argo, message, err := health(script, object.Object)
		if err != nil {
			return fmt.Errorf("judge %s %s: %w", object.GetKind(), object.GetName(), err)
		}
		line := verdict{object.GetKind(), object.GetName(), result.Status.String(), result.Message, argo, message}
		if err := encoder.Encode(line); err != nil {
			return fmt.Errorf("write a verdict: %w", err)
		}
	}
}

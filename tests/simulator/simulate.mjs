// Reads simulations as JSON from standard input and answers each with its result, or with why there is none.
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { argv, stdin, stdout } from 'node:process'

const find = createRequire(pathToFileURL(`${argv[2]}/package.json`))
const { runSimulation } = find('@cloud-copilot/iam-simulate')

let text = ''
for await (const part of stdin) text += part

const answers = []
for (const asked of JSON.parse(text)) {
  const answer = await runSimulation(asked, {})
  answers.push(answer.resultType === 'error' ? { error: answer.errors } : {
    result: answer.overallResult,
    ignored: (answer.results ?? [answer.result]).flatMap((one) => one.ignoredContextKeys ?? []),
  })
}
stdout.write(JSON.stringify(answers))

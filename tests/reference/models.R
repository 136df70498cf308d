# Mixed and negative-binomial models as R gives them. Run from tests/reference: Rscript models.R
# Packages of Debian: r-cran-lme4 r-cran-lmertest r-cran-mass r-cran-jsonlite.
suppressPackageStartupMessages({library(lmerTest); library(MASS); library(jsonlite)})

mixed <- function(name, random) {
  d <- read.delim(file.path("tables", paste0("volumes_", name, ".tsv")))
  d$age <- d$age - mean(tapply(d$age, d$participant_id, mean))
  f <- as.formula(paste("volume ~ years * diagnosis + age + sex +", random))
  m <- suppressMessages(lmer(f, data = d, REML = TRUE))
  s <- coef(summary(m))
  v <- as.data.frame(VarCorr(m))
  list(terms = rownames(s), estimate = unname(s[, "Estimate"]), se = unname(s[, "Std. Error"]),
       df = unname(s[, "df"]), p = unname(s[, "Pr(>|t|)"]), sigma = sigma(m),
       random = v$sdcor, reml_criterion = as.numeric(REMLcrit(m)), singular = isSingular(m))
}

counted <- function(name) {
  d <- read.delim(file.path("tables", paste0("counts_", name, ".tsv")))
  m <- glm.nb(new ~ diagnosis + age + offset(log(years)), data = d,
              control = glm.control(epsilon = 1e-12, maxit = 200))
  s <- coef(summary(m))
  list(terms = rownames(s), estimate = unname(s[, 1]), se = unname(s[, 2]), theta = m$theta,
       log_likelihood = as.numeric(logLik(m)))
}

tables <- c("study", "noisy", "small")
both <- function(name) list(slope = mixed(name, "(years | participant_id)"),
                            intercept = mixed(name, "(1 | participant_id)"))
out <- list(
  mixed = lapply(setNames(tables, tables), both),
  negative_binomial = lapply(setNames(c("study", "mild"), c("study", "mild")), counted),
  versions = list(R = as.character(getRversion()), lme4 = as.character(packageVersion("lme4")),
                  lmerTest = as.character(packageVersion("lmerTest")),
                  MASS = as.character(packageVersion("MASS"))))
write(toJSON(out, digits = 15, auto_unbox = TRUE, pretty = TRUE), "models.json")
